// The Dockerfile, without a container engine: its build is run here, and what it builds in a root that is as empty.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { until } from '../sdk/support/until.mjs';
import { certificate } from './support/certificate.mjs';
import { Container } from './support/container.mjs';
import { ARGUMENTS, BASE, COPIES, ENTRYPOINT, USER, build } from './support/dockerfile.mjs';
import { publishKeys, session } from './support/identity.mjs';
import { missing } from './support/installed.mjs';
import { startNameServer } from './support/name_server.mjs';
import { Site } from './support/site.mjs';

const isAsked = process.env.STATIC === '1' && process.getuid() === 0;
const skip = isAsked ? missing('openssl') : 'it builds for minutes; to run it, as root: STATIC=1';

test('the image is one file, which it runs as somebody who is not root', () => {
  assert.equal(BASE, 'scratch');
  assert.equal(COPIES.length, 1);
  assert.deepEqual(ENTRYPOINT, [COPIES[0][1]]);
  assert.equal(ARGUMENTS[0], 'serve');
  assert.match(USER, /^[1-9]\d*:[1-9]\d*$/);
});

test('what the Dockerfile builds', { skip }, async (t) => {
  const binary = build();

  await t.test('is static', () => {
    const { stdout, stderr } = spawnSync('ldd', [binary], { encoding: 'utf8' });
    assert.match(stdout + stderr, /statically linked|not a dynamic executable/);
  });

  const identity = certificate(t);
  const container = new Container(t, {
    binary,
    ca: readFileSync(identity.cert),
    // its name has to be looked up
    jwks: `https://id.example.com:${await publishKeys(t, identity)}/jwks.json`,
    nameServer: await startNameServer(t),
  });

  await t.test('accepts accrue.toml in an empty root', () => {
    container.check();
  });

  await t.test("runs there as the image's user, and trusts the roots of its build and no other", async () => {
    const accrue = await container.serve();
    const [, uid] = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${accrue.child.pid}/status`, 'utf8'));
    assert.equal(uid, USER.split(':')[0]);
    // only roots can refuse it as unknown: with none at all, accrue would say so
    await accrue.says('stderr', /not ready yet: .*(UnknownIssuer|unknown issuer)/i);
    const site = Site.http(new URL(accrue.url).port);
    assert.equal((await site.ask('/healthz')).status, 200);
    assert.equal((await site.ask('/readyz')).status, 503);
    await accrue.stop();
  });

  await t.test('looks up names, trusts what SSL_CERT_FILE names, grants, and ends well on SIGTERM', async () => {
    const accrue = await container.serve({ SSL_CERT_FILE: '/ca.pem' });
    const site = Site.http(new URL(accrue.url).port);
    await until(async () => (await site.ask('/readyz')).status === 200, () => `readiness: ${accrue.stderr}`);
    const answer = await site.ask('/auth', { cookies: [`session=${session()}`] });
    assert.equal(answer.status, 200, answer.shown);
    assert.equal(await accrue.stop(), 0, accrue.stderr);
  });
});
