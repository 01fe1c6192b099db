// accrue with the accrue.toml that is shown.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BINARY, KEY, SECRET, keyring, listening } from '../../sdk/support/accrue.mjs';
import { folder } from '../../sdk/support/folder.mjs';
import { output } from './command.mjs';
import { pathOf } from './examples.mjs';
import { JWKS } from './identity.mjs';

export const CONFIG = pathOf('accrue.toml');
export const SERVE = [BINARY, 'serve', '--config', CONFIG, '--listen', '127.0.0.1:0'];

/** Starts it with a key set from a file, unless `env` says where it is. */
export function serve(t, env = {}) {
  const jwks = written(t, 'jwks.json', JWKS);
  const usual = { ...secretFiles(t), ACCRUE_ADMIN: '127.0.0.1:0', ACCRUE_AUTHENTICATE__JWT__JWKS: jwks };
  const [command, ...args] = SERVE;
  return listening(t, command, args, { env: { ...usual, ...env } });
}

/** The variables for its secrets, which are in files wherever it is deployed. */
export function secretFiles(t) {
  return {
    ABLY_API_KEY_FILE: written(t, 'ably', KEY),
    ACCRUE_SECRETS_FILE: written(t, 'secrets', `${keyring(SECRET)}\n`),
  };
}

function written(t, name, text) {
  const file = join(folder(t), name);
  writeFileSync(file, text);
  return file;
}

/** What `accrue check` says of it. */
export function summary(t, env = {}) {
  return output(BINARY, ['check', '--config', CONFIG], { env: { ...secretFiles(t), ...env } });
}

/** For how many seconds it finishes what is in flight. */
export const drainTimeout = (t) => Number(/ drain (\d+)s$/m.exec(summary(t))[1]);
