// The binary as it is: `accrue serve`.
import { BINARY } from '../../sdk/support/accrue.mjs';
import { started } from '../support/started.mjs';

export const start = ({ config, env }) =>
  started(env, config, (file) => [BINARY, ['serve', '--config', file, '--listen', '127.0.0.1:0']]);
