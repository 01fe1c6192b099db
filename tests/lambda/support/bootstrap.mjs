// The binary as Lambda starts it: called `bootstrap`, without arguments, in a folder with its accrue.toml.
import { copyFileSync, linkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BINARY, KEY, SECRET, keyring } from '../../sdk/support/accrue.mjs';
import { folder } from '../../sdk/support/folder.mjs';
import { Process } from '../../sdk/support/process.mjs';
import { RuntimeApi } from './runtime_api.mjs';

export const ENV = { ABLY_API_KEY: KEY, ACCRUE_SECRETS: keyring(SECRET) };

/** What Lambda sets for a function. */
const functionsOwn = (api, root) => ({
  AWS_LAMBDA_RUNTIME_API: api.address,
  AWS_LAMBDA_FUNCTION_NAME: 'accrue',
  AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
  AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
  AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
  AWS_REGION: 'eu-west-1',
  LAMBDA_TASK_ROOT: root,
  TZ: ':UTC',
});

/** Starts it, and waits until it asks for an event, or says why it does not: `failure`. */
export async function bootstrap(t, { config, env = ENV, args = [] }) {
  const root = folder(t);
  if (config !== undefined) writeFileSync(join(root, 'accrue.toml'), config);
  const binary = join(root, 'bootstrap');
  named(BINARY, binary);
  const api = await RuntimeApi.start(t);
  const process = new Process(t, binary, args, { cwd: root, env: { ...functionsOwn(api, root), ...env } });
  const started = await Promise.race([api.started, process.ended]);
  return { api, process, root, failure: started === true ? undefined : started };
}

/** Gives a file another name, or a copy one where names can't cross over. */
function named(file, name) {
  try {
    linkSync(file, name);
  } catch {
    copyFileSync(file, name);
  }
}
