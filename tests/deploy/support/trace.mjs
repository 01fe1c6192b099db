// The system calls of accrue, as strace writes them down.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { listening } from '../../sdk/support/accrue.mjs';
import { folder } from '../../sdk/support/folder.mjs';
import { until } from '../../sdk/support/until.mjs';
import { certificate } from './certificate.mjs';
import { publishKeys, session } from './identity.mjs';
import { SERVE, secretFiles } from './service.mjs';
import { Site } from './site.mjs';

export class Trace {
  #lines;

  constructor(text) {
    this.#lines = text.split('\n');
  }

  /** Of all that accrue does as a service: it starts, fetches keys, grants, revokes, and ends. */
  static async record(t) {
    const own = folder(t);
    const file = join(own, 'trace');
    const identity = certificate(t);
    const env = {
      ...secretFiles(t),
      PATH: process.env.PATH,
      SSL_CERT_FILE: identity.cert,
      ACCRUE_ADMIN: '127.0.0.1:0',
      ACCRUE_STORE__URL: `redb:${own}/accrue.redb`,
      ACCRUE_AUTHENTICATE__JWT__JWKS: `https://localhost:${await publishKeys(t, identity)}/jwks.json`,
    };
    // -D: so accrue itself is the process that a signal goes to
    const accrue = await listening(t, 'strace', ['-D', '-f', '-qq', '-o', file, ...SERVE], { env });
    const site = Site.http(new URL(accrue.url).port);
    await until(async () => (await site.ask('/readyz')).status === 200, () => `readiness: ${accrue.stderr}`);

    const json = { capability: { 'team:blue:1': ['subscribe'] } };
    const granted = await site.ask('/auth', { method: 'POST', cookies: [`session=${session()}`], json });
    assert.equal(granted.status, 200, granted.shown);
    const admin = Site.http(new URL(accrue.admin).port);
    const revoked = await admin.ask('/revoke', { method: 'POST', json: { clientId: 'alice' } });
    assert.equal(revoked.status, 200, revoked.shown);

    assert.equal(await accrue.stop(), 0, accrue.stderr);
    return new Trace(readFileSync(file, 'utf8'));
  }

  /** The names of the calls. */
  get calls() {
    return this.#found(/^\d+ +(\w+)\(/);
  }

  get addressFamilies() {
    return this.#found(/\bsocket(?:pair)?\((AF_\w+)/);
  }

  /** The calls for memory that can be written and executed. */
  get writableExecutable() {
    return this.#found(/(.*PROT_WRITE\|PROT_EXEC.*)/);
  }

  #found(pattern) {
    return [...new Set(this.#lines.map((line) => pattern.exec(line)?.[1]).filter(Boolean))];
  }
}
