// What is of this platform. What is the same on all of them is in tests/conformance.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { start } from './support/wasi.mjs';

const ENV = { ABLY_API_KEY: 'appId.keyId:the-secret-of-an-ably-key', ACCRUE_SECRETS: `k1:${randomBytes(32).toString('base64url')}` };
const CLAIMED = '[authenticate.claimed]\n';
const RULES = '[permission.rules]\n"chat:*" = ["publish", "subscribe"]\n[given]\n"inbox:{clientId}" = ["subscribe"]\n';
const WISH = { 'chat:1': ['subscribe'] };

async function serve(t, config, env = {}) {
  const component = await start({ config, env: { ...ENV, ...env } });
  t.after(component.stop);
  return component;
}

function ask({ url }, { capability, headers = {} } = {}) {
  const query = new URLSearchParams({ clientId: 'alice', ...(capability && { capability: JSON.stringify(capability) }) });
  return fetch(`${url}/auth?${query}`, { headers });
}

const cookie = (response) => response.headers.getSetCookie().map((one) => one.split(';')[0]).join('; ');

test('several Set-Cookie stay several', async (t) => {
  const component = await serve(t, CLAIMED + RULES);
  const one = await ask(component, { capability: { 'chat:1': ['subscribe'] } });
  const two = await ask(component, { capability: { 'chat:2': ['subscribe'] } });
  const folded = await ask(component, { headers: { cookie: `${cookie(one)}; ${cookie(two)}` } });
  assert.equal(folded.status, 200);
  assert.equal(folded.headers.getSetCookie().length, 3);
});

test('what is missing or cannot be is told by a 500', async (t) => {
  for (const [config, env, says] of [
    [CLAIMED + RULES, { ABLY_API_KEY: '' }, 'set ABLY_API_KEY'],
    [CLAIMED + RULES, { ACCRUE_SECRETS: '' }, 'set ACCRUE_SECRETS'],
    [CLAIMED + RULES, { ACCRUE_LISTEN: '' }, '[authenticate.claimed] believes everybody'],
    [`orgins = []\n${CLAIMED}${RULES}`, {}, 'ACCRUE_CONFIG:1:1: unknown key'],
    [`${CLAIMED}${RULES}[store]\nurl = "memory:"`, {}, 'leave [store] out'],
    [`admin = "127.0.0.1:8081"\n${CLAIMED}${RULES}`, {}, 'admin: a component has no second listener'],
    [`[authenticate.jwt]\nsecret = "${'of the sessions '.repeat(3)}"\n${RULES}`, {}, 'feature "jwt"'],
  ]) {
    const component = await serve(t, config, env);
    const response = await ask(component);
    assert.equal(response.status, 500, says);
    const { error } = await response.json();
    assert.ok(error.message.includes(says), error.message);
  }
});

test('the log has a line for each request and for what it permits', async (t) => {
  const component = await serve(t, CLAIMED + RULES);
  await ask(component, { capability: WISH, headers: { 'x-request-id': 'first' } });
  while (component.lines.length < 2) await pause(10);
  const [audit, request] = component.lines.map((line) => JSON.parse(line));
  assert.deepEqual(audit, { level: 'INFO', target: 'audit', message: 'permitted', request: 'first', client: 'alice', check: 'rules', permitted: '{"chat:1":["subscribe"]}' });
  assert.equal(request.outcome, 'granted');
});

test('the webhook is asked by wasi:http, in its time', async (t) => {
  let reply = (response) => response.end(JSON.stringify({ granted: WISH }));
  const calls = [];
  const server = createServer(async (request, response) => {
    calls.push({ headers: request.headers, body: Buffer.concat(await request.toArray()).toString() });
    reply(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${server.address().port}/permissions`;
  const component = await serve(t, `${CLAIMED}[permission.webhook]\nurl = "${url}"\nbearer = "what the backend takes"\ntimeout = "300ms"\n`);
  assert.equal((await ask(component, { capability: WISH })).status, 200);
  const [{ headers, body }] = calls;
  assert.deepEqual(JSON.parse(body), { clientId: 'alice', claims: {}, asked: WISH, held: {} });
  assert.equal(headers.authorization, 'Bearer what the backend takes');
  assert.equal(headers['accept-encoding'], 'identity');
  // one in forty was lost, where the host closed what it had taken whole
  for (let n = 0; n < 200; n++) assert.equal((await ask(component, { capability: WISH })).status, 200);
  for (reply of [
    () => {},
    (response) => response.writeHead(200).write('{"granted":'),
    (response) => response.writeHead(302, { location: '/elsewhere' }).end(),
    (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('gzip'),
    (response) => response.end(JSON.stringify({ granted: WISH }) + ' '.repeat(1024 * 1024)),
    (response) => response.destroy(),
  ]) {
    assert.equal((await ask(component, { capability: WISH })).status, 503);
  }
});

/** An address on which nobody accepts, as many connections wait already as the system lets wait. */
async function deaf(t) {
  const listen = [
    'import socket, time',
    'full = socket.create_server(("127.0.0.1", 0), backlog=0)',
    'waiting = [socket.socket() for _ in range(4)]',
    'for one in waiting: one.setblocking(False); one.connect_ex(full.getsockname())',
    'print(full.getsockname()[1], flush=True); time.sleep(600)',
  ].join('\n');
  const python = spawn('python3', ['-c', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => python.kill());
  const [port] = await once(python.stdout, 'data');
  return `http://127.0.0.1:${String(port).trim()}`;
}

test('a large question to a webhook that cannot be reached takes no longer than its time', { timeout: 20_000 }, async (t) => {
  const url = await deaf(t);
  const component = await serve(t, `${CLAIMED}[permission.webhook]\nurl = "${url}/"\nbearer = "what the backend takes"\ntimeout = "300ms"\n`);
  const names = Array.from({ length: 250 }, (_, n) => `chat:${'x'.repeat(150)}${n}`);
  const capability = Object.fromEntries(names.map((name) => [name, ['subscribe']]));
  const body = JSON.stringify({ clientId: 'alice', capability });
  const response = await fetch(`${component.url}/auth`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  assert.equal(response.status, 503);
});

test('a body that does not come is not waited for', async (t) => {
  const component = await serve(t, `${CLAIMED}${RULES}[limits]\nbody_timeout = "200ms"\n`);
  const { hostname, port } = new URL(component.url);
  const socket = connect(port, hostname).setEncoding('utf8');
  t.after(() => socket.destroy());
  socket.write('POST /auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"capability":');
  const [answer] = await once(socket, 'data');
  assert.match(answer, /^HTTP\/1\.1 408 /);
});
