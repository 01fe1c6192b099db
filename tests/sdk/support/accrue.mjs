// The service under test: the real binary, `accrue serve`. The variable ACCRUE names another than the release build.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Process } from './process.mjs';

export const BINARY = process.env.ACCRUE ?? fileURLToPath(new URL('../../../target/release/accrue', import.meta.url));
export const KEY = 'appId.keyId:the-secret-of-an-ably-key';
/** What `accrue keygen` makes. */
export const SECRET = { kid: 'k1', bytes: Buffer.from('what seals grants in the tests..') };
export const ADMIN_TOKEN = 'what-an-operator-of-the-tests-shows-to-/revoke';

/** Starts it with a configuration. `env` goes over the usual environment. */
export async function serve(t, config, env = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'accrue-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'accrue.toml');
  writeFileSync(file, toml(config));
  const usual = { ABLY_API_KEY: KEY, ACCRUE_SECRETS: keyring(SECRET), ACCRUE_ADMIN_TOKEN: ADMIN_TOKEN };
  const process = new Process(t, BINARY, ['serve', '--config', file], { env: { ...usual, ...env } });
  const [, url] = await process.says('stdout', /^listening on (\S+)$/m);
  const admin = /^admin on (\S+)$/m.exec(process.stdout)?.[1];
  return Object.assign(process, { url, admin });
}

/** Sealing secrets as `ACCRUE_SECRETS` lists them: the first seals, all verify. */
export const keyring = (...secrets) => secrets.map(({ kid, bytes }) => `${kid}:${bytes.toString('base64url')}`).join(',');

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
  const lines = entries.filter(([, value]) => !isTable(value)).map(([name, value]) => `${key(name)} = ${JSON.stringify(value)}\n`);
  const tables = entries.filter(([, value]) => isTable(value)).map(([name, value]) => toml(value, [...path, key(name)]));
  const title = path.length ? `[${path.join('.')}]\n` : '';
  return [title, ...lines, ...tables].join('');
}
