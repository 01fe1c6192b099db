// What is of this platform. What is the same on all of them is in tests/conformance.
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { backend, json } from './support/backend.mjs';
import { start } from './support/workerd.mjs';

const ENV = { ABLY_API_KEY: 'appId.keyId:the-secret-of-an-ably-key', ACCRUE_SECRETS: `k1:${randomBytes(32).toString('base64url')}` };
const CLAIMED = '[authenticate.claimed]\n';
const RULES = '[permission.rules]\n"chat:*" = ["publish", "subscribe"]\n[given]\n"inbox:{clientId}" = ["subscribe"]\n';
const WISH = { 'chat:1': ['subscribe'] };

async function serve(t, config, env = {}) {
  const worker = await start({ config, env: { ...ENV, ...env } });
  t.after(worker.stop);
  return worker;
}

/** Asks as alice, for a capability. */
function ask(worker, { capability, headers = {}, ...options } = {}) {
  const query = new URLSearchParams({ clientId: 'alice', ...(capability && { capability: JSON.stringify(capability) }) });
  return fetch(`${worker.url}/auth?${query}`, { headers, ...options });
}

const granted = async (response) => {
  assert.equal(response.status, 200, await response.clone().text());
  return JSON.parse((await response.json()).capability);
};
const cookie = (response) => response.headers.getSetCookie().map((one) => one.split(';')[0]).join('; ');

/** What the Worker has logged that says so, once it has. */
async function logged(worker, says) {
  for (let n = 0; n < 100; n += 1, await pause(20)) {
    const found = worker.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line)).filter(says);
    if (found.length) return found;
  }
  throw new Error(`not logged; but:\n${worker.lines.join('\n')}`);
}

/** What comes back for bytes that are sent as they are. */
async function raw(worker, text) {
  const { hostname, port } = new URL(worker.url);
  const socket = connect(port, hostname);
  socket.setEncoding('utf8').write(text);
  let answer = '';
  for await (const part of socket) answer += part;
  return answer;
}

test('several Set-Cookie stay several', async (t) => {
  const worker = await serve(t, CLAIMED + RULES);
  const [one, two] = await Promise.all(['chat:1', 'chat:2'].map((name) => ask(worker, { capability: { [name]: ['subscribe'] } })));
  const folded = await ask(worker, { headers: { cookie: `${cookie(one)}; ${cookie(two)}` } });
  const [set, ...deleted] = folded.headers.getSetCookie();
  assert.match(set, /^__Host-accrue\.[\w-]{8}=1[jz]\.k1\.\S+; HttpOnly; SameSite=Strict; Secure; Path=\/; Max-Age=57600$/);
  assert.equal(deleted.length, 2);
  for (const one of deleted) assert.match(one, /^__Host-accrue\.[\w-]{8}=; .*Max-Age=0/);
});

test('a header twice, of which JavaScript makes one, is two', async (t) => {
  const worker = await serve(t, CLAIMED + RULES);
  const cookies = await Promise.all(['chat:1', 'chat:2'].map(async (name) => cookie(await ask(worker, { capability: { [name]: ['subscribe'] } }))));
  const lines = ['prefs={"a":1, "b":2}', 'name=zoë', ...cookies].map((one) => `Cookie: ${one}\r\n`).join('');
  const answer = await raw(worker, `GET /auth?clientId=alice HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${lines}\r\n`);
  assert.match(answer, /"capability":"{\\"chat:1\\":\[\\"subscribe\\"\],\\"chat:2\\"/);
});

test('a name that is not UTF-8, of which JavaScript makes another, is nobody', async (t) => {
  const secret = 'a-proxy-secret-of-some-length';
  const worker = await serve(t, `[authenticate.header]\nproxy_secret = "${secret}"\n${RULES}`);
  const head = (id) => Buffer.from(`GET /auth HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Proxy-Secret: ${secret}\r\nX-Client-Id: ${id}\r\n\r\n`, 'latin1');
  assert.match(await raw(worker, head('caf\xc3\xa9')), /"clientId":"café"/);
  assert.match(await raw(worker, head('caf\xe9')), /^HTTP\/1.1 401 /);
});

test('a missing secret is told by a 500, at once and at every path', async (t) => {
  for (const [name, says] of [['ABLY_API_KEY', 'set ABLY_API_KEY'], ['ACCRUE_SECRETS', 'set ACCRUE_SECRETS']]) {
    const worker = await serve(t, CLAIMED + RULES, { [name]: undefined });
    for (const path of ['/auth?clientId=alice', '/healthz', '/readyz']) {
      const response = await fetch(worker.url + path, { signal: AbortSignal.timeout(2000) });
      assert.equal(response.status, 500);
      assert.equal(response.headers.get('x-ably-errorcode'), '50000');
      assert.equal(response.headers.get('content-type'), 'application/json');
      const { error } = await response.json();
      assert.equal(error.statusCode, 500);
      assert.ok(error.message.includes(says), error.message);
    }
    assert.ok((await logged(worker, ({ target }) => target === 'accrue::config'))[0].message.includes(says));
  }
});

test('what a Worker cannot do is refused, and told what to write instead', async (t) => {
  const everywhere = { ACCRUE_LISTEN: undefined };
  for (const [config, env, says] of [
    [`${CLAIMED}orgins = []\n${RULES}`, {}, 'accrue.toml:2:1: unknown key'],
    [`${CLAIMED}${RULES}[store]\nurl = "redb:accrue.redb"`, {}, 'leave [store] out'],
    [`${CLAIMED}${RULES}[store]\nurl = "redis://127.0.0.1/0"`, {}, 'leave [store] out'],
    [`${CLAIMED}${RULES}[store]\nurl = "memory:"`, {}, 'leave [store] out'],
    [`admin = "127.0.0.1:8081"\n${CLAIMED}${RULES}`, {}, 'admin: a Worker has no second listener'],
    [CLAIMED + RULES, everywhere, '[authenticate.claimed] believes everybody'],
    [`[cookie]\nsecure = false\n[authenticate.jwt]\nsecret = "${'of the sessions '.repeat(3)}"\n${RULES}`, everywhere, 'cookie.secure = false'],
    [`[authenticate.jwt]\njwks = "KEYS"\n${RULES}`, {}, 'a Worker has no files; bind the text'],
    [CLAIMED + RULES, { ACCRUE_TOKEN__FROMAT: 'jwt' }, 'did you mean "format"?'],
  ]) {
    const worker = await serve(t, config, env);
    const response = await ask(worker);
    assert.equal(response.status, 500, says);
    const { error } = await response.json();
    assert.ok(error.message.includes(says), error.message);
  }
});

test('accrue.toml, as it is deployed, is accepted', async (t) => {
  const worker = await serve(t, readFileSync(new URL('../accrue.toml', import.meta.url), 'utf8'), { ACCRUE_LISTEN: undefined });
  const response = await fetch(`${worker.url}/healthz`);
  assert.equal(response.status, 200, await response.text());
});

test('bindings beat the text: texts, numbers and lists', async (t) => {
  const env = { ACCRUE_TOKEN__TTL: '5m', ACCRUE_TOKEN__JITTER: 0, ACCRUE_ORIGINS: ['https://a.example', 'https://b.example'] };
  const worker = await serve(t, `origins = ["https://c.example"]\n${CLAIMED}${RULES}`, env);
  const response = await ask(worker, { headers: { origin: 'https://b.example' } });
  assert.equal(response.headers.get('access-control-allow-origin'), 'https://b.example');
  assert.equal((await response.json()).ttl, 300_000);
});

test('the log has a line for each request and for what it permits, and no secrets', async (t) => {
  const worker = await serve(t, CLAIMED + RULES);
  const response = await ask(worker, { capability: { ...WISH, elsewhere: ['*'] }, headers: { 'x-request-id': 'first' } });
  const { mac } = await response.json();
  const held = cookie(response);
  await ask(worker, { headers: { 'x-request-id': 'second', cookie: held } });
  const [audit] = await logged(worker, ({ target }) => target === 'audit');
  assert.deepEqual(audit, { level: 'INFO', target: 'audit', message: 'permitted', request: 'first', client: 'alice', check: 'rules', permitted: '{"chat:1":["subscribe"]}' });
  await logged(worker, ({ request }) => request === 'second');
  const [one, two] = await logged(worker, ({ target }) => target === 'accrue::request');
  const usual = { level: 'INFO', target: 'accrue::request', message: 'request', method: 'GET', route: '/auth', status: 200, client: 'alice' };
  const times = { millis: 0, check_millis: 0 };
  assert.deepEqual({ ...one, ...times }, { ...usual, request: 'first', outcome: 'partial', verified: 0, ...times });
  assert.deepEqual({ ...two, millis: 0 }, { ...usual, request: 'second', outcome: 'granted', verified: 1, millis: 0 });
  for (const secret of ['the-secret-of-an-ably-key', ENV.ACCRUE_SECRETS.slice(3), mac, held.split('=')[1]]) {
    assert.ok(!worker.lines.join('\n').includes(secret));
  }
});

test('what the operator should know is logged once', async (t) => {
  const worker = await serve(t, `origins = ["https://a.example"]\n${CLAIMED}${RULES}`, { ACCRUE_LOGG: 'x' });
  for (let n = 0; n < 3; n += 1) await ask(worker, { headers: { origin: 'https://a.example', 'x-request-id': `${n}` } });
  await logged(worker, ({ request, target }) => request === '2' && target === 'accrue::request');
  assert.equal((await logged(worker, ({ target }) => target === 'accrue::advice')).length, 1);
  const notes = await logged(worker, ({ target }) => target === 'accrue::config');
  assert.deepEqual(notes.map(({ message }) => message), ['ACCRUE_LOGG is not read; did you mean ACCRUE_LOG?']);
});

test('the webhook is asked by fetch', async (t) => {
  const app = await backend(t, (_, response) => json(response, { granted: WISH }));
  const worker = await serve(t, `${CLAIMED}[permission.webhook]\nurl = "${app.url}/permissions?x=1"\nbearer = "what the backend takes"\n`);
  assert.deepEqual(await granted(await ask(worker, { capability: WISH })), WISH);
  const [{ url, headers, body }] = app.calls;
  assert.equal(url, '/permissions?x=1');
  assert.deepEqual(JSON.parse(body), { clientId: 'alice', claims: {}, asked: WISH, held: {} });
  const { authorization, 'accept-encoding': encoding, 'content-type': type, 'user-agent': agent } = headers;
  assert.deepEqual({ authorization, encoding, type, agent: agent.split('/')[0] },
    { authorization: 'Bearer what the backend takes', encoding: 'identity', type: 'application/json', agent: 'accrue' });
});

test('a webhook that does not answer as it should is unavailable, and takes no longer than its time', async (t) => {
  const big = JSON.stringify({ granted: WISH }) + ' '.repeat(1024 * 1024);
  const answers = {
    'no whole answer within 300ms': [() => {}, (response) => response.writeHead(200).write('{"granted":')],
    'more than 1048576 bytes': [(response) => response.end(big)],
    'answered 302': [(response) => response.writeHead(302, { location: '/elsewhere' }).end()],
    compressed: [(response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(JSON.stringify({ granted: WISH })))],
    'webhook: ': [(response) => response.destroy()],
  };
  let reply;
  const app = await backend(t, (_, response) => reply(response));
  const worker = await serve(t, `${CLAIMED}[permission.webhook]\nurl = "${app.url}"\ntimeout = "300ms"\n`);
  for (const [says, replies] of Object.entries(answers)) {
    for (reply of replies) {
      const started = Date.now();
      const response = await ask(worker, { capability: WISH });
      assert.equal(response.status, 503, says);
      assert.equal(response.headers.get('accrue-refused'), JSON.stringify({ unavailable: WISH }));
      assert.ok(Date.now() - started < 2000);
    }
    await logged(worker, ({ cause }) => cause?.includes(says));
  }
  assert.ok(!app.calls.some(({ url }) => url === '/elsewhere'));
});

test('a client that goes away takes nothing along', async (t) => {
  let hang = true;
  const app = await backend(t, (_, response) => hang || json(response, { granted: WISH }));
  const worker = await serve(t, `${CLAIMED}[permission.webhook]\nurl = "${app.url}"\ntimeout = "1s"\nmax_in_flight_per_client = 1\n`);
  for (let n = 0; n < 5; n += 1) {
    const left = new AbortController();
    const gone = ask(worker, { capability: WISH, signal: left.signal });
    while (app.calls.length <= n) await pause(10);
    left.abort();
    await assert.rejects(gone);
  }
  hang = false;
  assert.deepEqual(await granted(await ask(worker, { capability: WISH })), WISH);
  // and what they waited for ends as it would have
  await logged(worker, ({ outcome }) => outcome === 'unavailable');
});

test('a body that does not come is not waited for', async (t) => {
  const worker = await serve(t, `${CLAIMED}${RULES}[limits]\nbody_timeout = "200ms"\n`);
  const head = 'POST /auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\nConnection: close\r\n\r\n';
  const { hostname, port } = new URL(worker.url);
  const socket = connect(port, hostname).setEncoding('utf8');
  socket.write(`${head}{"capability":`);
  t.after(() => socket.destroy());
  const [answer] = await once(socket, 'data');
  assert.match(answer, /^HTTP\/1\.1 408 /);
});

test('session JWTs: keys by fetch are kept for a minute, for all requests, and are had again where they were missing', async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'ES256' }] };
  let down = true;
  const id = await backend(t, (_, response) => (down ? response.writeHead(500).end() : json(response, jwks)));
  const worker = await serve(t, `[authenticate.jwt]\njwks = "${id.url}/jwks.json"\n${RULES}`);
  const authorization = (claims, kid = 'one') => {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ alg: 'ES256', kid })}.${part({ exp: Math.floor(Date.now() / 1000) + 600, ...claims })}`;
    return `Bearer ${text}.${sign('sha256', text, { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  const as = (claims, kid) => ask(worker, { headers: { authorization: authorization(claims, kid) } });

  assert.equal((await as({ sub: 'alice' })).status, 503);
  assert.equal((await fetch(`${worker.url}/readyz`)).status, 503);
  down = false;
  assert.equal((await fetch(`${worker.url}/readyz`)).status, 200);
  const before = id.calls.length;
  const all = await Promise.all(Array.from({ length: 20 }, () => as({ sub: 'alice' })));
  for (const response of all) assert.deepEqual(await granted(response), { 'inbox:alice': ['subscribe'] });
  assert.equal((await as({ sub: 'alice', exp: 1 })).status, 401);
  assert.equal((await as({ sub: 'alice' }, 'two')).status, 401);
  assert.equal(id.calls.length, before);
});

test('what is no key set is not kept', async (t) => {
  const id = await backend(t, (_, response) => json(response, { maintenance: true }));
  const worker = await serve(t, `[authenticate.jwt]\njwks = "${id.url}/jwks.json"\n${RULES}`);
  for (const asked of [1, 2]) {
    assert.equal((await fetch(`${worker.url}/readyz`)).status, 503);
    assert.equal(id.calls.length, asked);
  }
});

test('who is calling is asked each time: nobody passes for another who came without credentials, too', async (t) => {
  let visitors = 0;
  const app = await backend(t, (_, response) => json(response, { clientId: `visitor-${(visitors += 1)}` }));
  const worker = await serve(t, `[authenticate.forward]\nurl = "${app.url}/whoami"\n${RULES}`);
  for (const id of ['visitor-1', 'visitor-2']) {
    const response = await fetch(`${worker.url}/auth`);
    assert.equal(response.status, 200, await response.clone().text());
    assert.equal((await response.json()).clientId, id);
  }
});

test('what the configuration calls a file is a binding', async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const env = { PUBLIC_KEY: publicKey.export({ type: 'spki', format: 'pem' }) };
  const worker = await serve(t, `[authenticate.jwt]\npublic_key = "PUBLIC_KEY"\n${RULES}`, env);
  const text = [{ alg: 'RS256' }, { sub: 'alice', exp: Math.floor(Date.now() / 1000) + 600 }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const authorization = `Bearer ${text}.${sign('sha256', text, createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }))).toString('base64url')}`;
  assert.deepEqual(await granted(await ask(worker, { headers: { authorization } })), { 'inbox:alice': ['subscribe'] });
});
