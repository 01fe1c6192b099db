// The service under test: the real binary, `accrue serve`. The variable ACCRUE names another than the release build.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { folder } from './folder.mjs';
import { Process } from './process.mjs';

export const BINARY = process.env.ACCRUE ?? fileURLToPath(new URL('../../../target/release/accrue', import.meta.url));
export const KEY = 'appId.keyId:the-secret-of-an-ably-key';
/** What `accrue keygen` makes. */
export const SECRET = { kid: 'k1', bytes: Buffer.from('what seals grants in the tests..') };
export const ADMIN_TOKEN = 'what-an-operator-of-the-tests-shows-to-/revoke';

/** Starts it with a configuration. `env` goes over the usual environment. */
export async function serve(t, config, env = {}) {
  const file = join(folder(t), 'accrue.toml');
  writeFileSync(file, toml(config));
  const usual = { ABLY_API_KEY: KEY, ACCRUE_SECRETS: keyring(SECRET), ACCRUE_ADMIN_TOKEN: ADMIN_TOKEN };
  return listening(t, BINARY, ['serve', '--config', file], { env: { ...usual, ...env } });
}

/** Starts it by any command, and waits until it listens: at `url`, and at `admin` if it has such a listener. */
export async function listening(t, command, args, options) {
  const process = new Process(t, command, args, options);
  const [, url] = await process.says('stdout', /^listening on (\S+)$/m);
  const admin = /^admin on (\S+)$/m.exec(process.stdout)?.[1];
  return Object.assign(process, { url, admin });
}

/** Sealing secrets as `ACCRUE_SECRETS` lists them: the first seals, all verify. */
export function keyring(...secrets) {
  return secrets.map(({ kid, bytes }) => `${kid}:${bytes.toString('base64url')}`).join(',');
}

/** Runs one of its other commands to its end: `{code, stdout, stderr}`. */
export async function run(t, ...args) {
  const process = new Process(t, BINARY, args, { env: { ACCRUE_ADMIN_TOKEN: ADMIN_TOKEN } });
  const code = await process.ended;
  return { code, stdout: process.stdout, stderr: process.stderr };
}

/** TOML of nested objects; their strings, numbers and lists are written as in JSON. */
function toml(table, path = []) {
  const isTable = (value) => typeof value === 'object' && !Array.isArray(value);
  const key = (name) => JSON.stringify(name);
  const entries = Object.entries(table).filter(([, value]) => value !== undefined);
  const [values, tables] = [false, true].map((wanted) => entries.filter(([, value]) => isTable(value) === wanted));
  const lines = values.map(([name, value]) => `${key(name)} = ${JSON.stringify(value)}\n`);
  const below = tables.map(([name, value]) => toml(value, [...path, key(name)]));
  const title = path.length ? `[${path.join('.')}]\n` : '';
  return [title, ...lines, ...below].join('');
}
