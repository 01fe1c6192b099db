// examples/browser/accrue.js with an Ably client and a service that are played: what it asks for, when, and how.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Accrue, Denied, Unavailable } from '../../examples/browser/accrue.js';
import { Client, Service, URL_OF_AUTH, refusal, start } from './support/played.mjs';
import { until } from './support/until.mjs';

/** Makes time limits a hundred times shorter. */
function hurry(t) {
  t.mock.method(AbortSignal, 'timeout', (ms) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new DOMException('too late', 'TimeoutError')), ms / 100);
    return controller.signal;
  });
}

const untilAborted = (signal) => new Promise((_, reject) => {
  signal.addEventListener('abort', () => reject(signal.reason));
});

test('a channel is asked for once, and not again while the token has it', async () => {
  const { service, accrue, client } = start();
  service.permitted = { 'chat:1': ['subscribe', 'publish'] };
  const channel = await accrue.attach(client, 'chat:1', ['subscribe', 'publish']);
  assert.equal(channel.attached, 1);
  await accrue.attach(client, 'chat:1', ['publish']);
  await client.renew();
  await accrue.attach(client, 'chat:1');
  assert.deepEqual(service.asked, [{ 'chat:1': ['subscribe', 'publish'] }, undefined]);
});

test('a right that is missing on an attached channel is asked for', async () => {
  const { service, accrue, client } = start();
  service.permitted = { 'chat:1': ['subscribe', 'publish'] };
  await accrue.attach(client, 'chat:1');
  await accrue.attach(client, 'chat:1', ['publish']);
  assert.deepEqual(service.asked, [{ 'chat:1': ['subscribe'] }, { 'chat:1': ['publish'] }]);
});

test('one authorize() at a time; what is wished for meanwhile goes along with the next', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'], c: ['subscribe', 'publish'] };
  const held = service.hold();
  const a = accrue.attach(client, 'a');
  const open = await held;
  const others = [accrue.attach(client, 'b'), accrue.attach(client, 'c'), accrue.attach(client, 'c', ['publish'])];
  open();
  await a;
  const verdicts = await Promise.allSettled(others);
  assert.deepEqual(verdicts.map(({ status, reason }) => reason?.name ?? status), ['Denied', 'fulfilled', 'fulfilled']);
  assert.deepEqual(service.asked, [{ a: ['subscribe'] }, { b: ['subscribe'], c: ['subscribe', 'publish'] }]);
  assert.equal(client.authorized, 2);
  assert.equal(service.mostInFlight, 1);
});

test('wishes that are made at the same moment are one request', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'], b: ['subscribe', 'publish'] };
  await Promise.all([
    ...Array.from({ length: 5 }, () => accrue.attach(client, 'a')),
    accrue.ask(client, { b: ['publish'] }),
    accrue.attach(client, 'b'),
  ]);
  assert.deepEqual(service.asked, [{ a: ['subscribe'], b: ['publish', 'subscribe'] }]);
  assert.equal(client.authorized, 1);
});

test('a channel waits until the token that has it is in effect', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe', 'publish'] };
  const effects = [];
  client.auth.authorize = async () => {
    const { capability } = client;
    await client.renew();
    const next = client.capability;
    client.capability = capability;
    await new Promise((resolve) => { effects.push(resolve); });
    client.capability = next;
  };
  const first = accrue.attach(client, 'a', ['subscribe', 'publish']);
  await until(() => effects.length === 1);
  const second = accrue.attach(client, 'a');
  effects[0]();
  await first;
  await until(() => effects.length === 2);
  effects[1]();
  assert.equal((await second).attached, 2);
});

test('operations and * for one resource are sent as * alone', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['*'] };
  await Promise.all([accrue.ask(client, { a: ['subscribe'] }), accrue.ask(client, { a: ['*'] })]);
  assert.deepEqual(service.asked, [{ a: ['*'] }]);
});

test('the wishes of the application go along with ours, and none of ours stays with the client', async () => {
  const { service, accrue, client } = start();
  client.params = { clientId: 'alice', ttl: 1000, capability: '{"own":["subscribe"]}' };
  service.permitted = { own: ['subscribe'], a: ['subscribe'] };
  await accrue.attach(client, 'a');
  await client.renew();
  assert.deepEqual(service.asked, [{ own: ['subscribe'], a: ['subscribe'] }, { own: ['subscribe'] }]);
  const [{ clientId, ttl, credentials, headers, method }] = service.requests;
  assert.deepEqual([method, clientId, ttl, credentials], ['POST', 'alice', 1000, 'include']);
  assert.deepEqual(headers, { 'content-type': 'application/json' });
});

test('an answer that ably-js asked for itself counts', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  const held = service.hold();
  const first = accrue.ask(client, { inbox: ['subscribe'] });
  const open = await held;
  const renewal = client.renew(); // waits for the request before
  const attached = accrue.attach(client, 'a');
  open();
  await Promise.all([first, renewal, attached]);
  assert.deepEqual(service.asked, [{ inbox: ['subscribe'] }, { a: ['subscribe'] }, undefined]);
});

test('while the client connects, wishes go along, and there is no authorize()', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  client.connection.state = 'connecting';
  const attached = [accrue.attach(client, 'a'), accrue.attach(client, 'inbox')];
  const refused = accrue.attach(client, 'b');
  await until(() => client.connection.listeners.length);
  client.connection.becomes('connecting'); // ably-js tells it late
  await client.renew();
  client.connection.becomes('connected');
  await Promise.all(attached);
  await assert.rejects(refused, Denied);
  assert.equal(client.authorized, 0);
  assert.equal(service.requests.length, 1);
});

test('a client that does not connect is asked to, unless all is refused already', async () => {
  const { service, accrue, client } = start();
  service.answers = [refusal(40160, 401, { 'accrue-refused': '{"denied":{"a":["subscribe"]}}' })];
  client.connection.state = 'connecting';
  const refused = accrue.attach(client, 'a');
  await assert.rejects(client.renew());
  client.connection.becomes('disconnected');
  await assert.rejects(refused, Denied);
  assert.equal(client.authorized, 0);
  await accrue.ask(client, { inbox: ['subscribe'] });
  assert.equal(client.authorized, 1);
});

test('a client that is closed meanwhile ends the wait, and no authorize() opens it again', async () => {
  const { service, accrue, client } = start();
  client.auth.authorize = () => {
    client.authorized += 1;
    return new Promise(() => {});
  };
  const waiting = [accrue.ask(client, { a: ['subscribe'] }), accrue.attach(client, 'b')];
  await until(() => client.authorized);
  client.connection.becomes('closing');
  client.connection.becomes('closed');
  const expected = { code: 80017, statusCode: 400, message: 'the client is closed' };
  for (const wait of waiting) await assert.rejects(wait, expected);
  client.connection.state = 'closing';
  await assert.rejects(accrue.ask(client, { c: ['subscribe'] }), { code: 80017 });
  assert.equal(client.authorized, 1);
  // the next client of the same Accrue is none of that
  const next = new Client(accrue);
  await next.renew();
  assert.deepEqual(service.asked, [undefined]);
  await accrue.attach(next, 'inbox');
  await accrue.ask(next, { inbox: ['subscribe'] });
  assert.deepEqual(next.connection.listeners, []);
});

test('what authorize() throws is passed on, and so is what attach() throws', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  const ofAbly = Object.assign(new Error('token refused'), { code: 40101 });
  const ofChannel = Object.assign(new Error('no'), { code: 90001 });
  const { authorize } = client.auth;
  client.auth.authorize = () => authorize().then(() => { throw ofAbly; });
  await assert.rejects(accrue.attach(client, 'a'), (error) => error === ofAbly);
  client.auth.authorize = authorize;
  client.channels.get('a').attach = () => Promise.reject(ofChannel);
  await assert.rejects(accrue.attach(client, 'a'), (error) => error === ofChannel);
  assert.equal(service.requests.length, 1);
});

test('a client with another authCallback is told', async () => {
  const { accrue, client } = start();
  client.accrue = new Accrue(URL_OF_AUTH, { fetch: new Service().fetch });
  await assert.rejects(accrue.attach(client, 'a'), /client does not use this authCallback/);
});

test('carrier header: what is sent is none at first, then what came last; nothing is lost by a failure', async () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const options = { carrier: 'header', storage, headers: async () => ({ authorization: 'Bearer x' }) };
  const { service, accrue, client } = start(options);
  service.permitted = { a: ['subscribe'], b: ['subscribe'] };
  await accrue.attach(client, 'a');
  service.answers = [refusal(50003, 503), new TypeError('fetch failed')];
  await assert.rejects(client.renew());
  await assert.rejects(client.renew());
  await accrue.attach(client, 'b');
  const grants = service.requests.map(({ headers }) => headers['accrue-grant']);
  const first = '{"a":["subscribe"]}';
  assert.deepEqual(grants, ['none', first, first, first]);
  const [{ headers, credentials }] = service.requests;
  const sent = { authorization: 'Bearer x', 'content-type': 'application/json', 'accrue-grant': 'none' };
  assert.deepEqual([headers, credentials], [sent, 'same-origin']);
  // a page that is loaded again
  const again = new Accrue(URL_OF_AUTH, { ...options, fetch: service.fetch });
  await new Client(again).renew();
  assert.equal(service.requests.at(-1).headers['accrue-grant'], '{"a":["subscribe"],"b":["subscribe"]}');
  await again.giveUp();
  assert.deepEqual([...kept.values()], ['none']);
});

test('carrier header: a storage that is full is done without', async () => {
  const storage = { getItem: () => null, setItem: () => { throw new Error('QuotaExceededError'); } };
  const { service, accrue, client } = start({ carrier: 'header', storage });
  service.permitted = { a: ['subscribe'] };
  await accrue.attach(client, 'a');
  await client.renew();
  assert.equal(service.requests[1].headers['accrue-grant'], '{"a":["subscribe"]}');
});

test('a request that could not even be made holds up nothing', async () => {
  const { client } = start();
  client.params = { capability: 'not JSON' };
  await assert.rejects(client.renew(), SyntaxError);
  client.params = undefined;
  await client.renew();
});

test('carrier header: requests of one client do not overlap', async () => {
  const { service, accrue, client } = start({ carrier: 'header' });
  service.permitted = { a: ['subscribe'] };
  await Promise.all([client.renew(), accrue.attach(client, 'a'), client.renew()]);
  assert.equal(service.mostInFlight, 1);
  await client.renew();
  assert.equal(service.requests.at(-1).headers['accrue-grant'], '{"a":["subscribe"]}');
});

test('tabs that share cookies take turns, for the request alone', async () => {
  const locks = { names: new Set(), queue: Promise.resolve(), request(name, { signal }, work) {
    this.names.add(name);
    const turn = this.queue.then(() => { signal.throwIfAborted(); return work(); });
    this.queue = turn.catch(() => {});
    return turn;
  } };
  const service = new Service();
  const tabs = [1, 2, 3].map(() => new Accrue(URL_OF_AUTH, { fetch: service.fetch, locks }));
  const clients = tabs.map((accrue) => new Client(accrue));
  clients[0].auth.authorize = () => clients[0].renew().then(() => new Promise(() => {})); // waits for the connection
  tabs[0].ask(clients[0], { inbox: ['subscribe'] });
  await Promise.all(tabs.slice(1).map((accrue, i) => accrue.ask(clients[i + 1], { inbox: ['subscribe'] })));
  assert.equal(service.requests.length, 3);
  assert.equal(service.mostInFlight, 1);
  assert.deepEqual([...locks.names], [`accrue ${URL_OF_AUTH}`]);
  locks.names.clear();
  await new Client(new Accrue(URL_OF_AUTH, { fetch: service.fetch, locks, carrier: 'header' })).renew();
  assert.equal(locks.names.size, 0);
});

test('a tab that hangs, or locks that are forbidden, hold up nobody', async (t) => {
  hurry(t);
  const hanging = { request: (_, { signal }) => untilAborted(signal) };
  const forbidden = { request: async () => { throw new DOMException('opaque origin', 'SecurityError'); } };
  const stolen = { request: async (_name, _options, work) => {
    work();
    throw new DOMException('stolen', 'AbortError');
  } };
  for (const locks of [hanging, forbidden, stolen]) {
    const { service, client } = start({ locks });
    await client.renew();
    assert.equal(service.requests.length, 1);
  }
});

test('what hangs ends in time, and the next request is made', async (t) => {
  hurry(t);
  const { service, accrue, client } = start();
  service.answers = [(_, signal) => untilAborted(signal)];
  await assert.rejects(accrue.attach(client, 'a'), (error) => {
    assert.ok(error instanceof Unavailable);
    assert.equal(error.cause.code, 40170);
    return true;
  });
  await client.renew();
  await assert.rejects(start({ headers: () => { throw new Error('signed out'); } }).client.renew(), /signed out/);
  const hanging = start({ headers: () => new Promise(() => {}) });
  for (let i = 0; i < 2; i++) await assert.rejects(hanging.client.renew(), { code: 40170 });
});

test('more than accrue takes in one request goes in several', async () => {
  const { service, accrue, client } = start();
  const names = Array.from({ length: 300 }, (_, i) => `chat:${i}`);
  service.permitted = Object.fromEntries(names.map((name) => [name, ['subscribe']]));
  await Promise.all(names.map((name) => accrue.attach(client, name)));
  assert.deepEqual(service.asked.map((wishes) => Object.keys(wishes).length), [256, 44]);
});

test('what is given up is told to the service and no longer goes along; who waits still gets an answer', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  await accrue.attach(client, 'a');
  service.reason = 'unavailable';
  await assert.rejects(accrue.ask(client, { b: ['subscribe'], c: ['subscribe'] }), Unavailable);
  await accrue.giveUp({ b: ['subscribe'], a: ['subscribe'] });
  const query = new URLSearchParams({ capability: '{"b":["subscribe"],"a":["subscribe"]}' });
  assert.equal(service.requests.at(-1).url, `${URL_OF_AUTH}?${query}`);
  assert.equal(service.requests.at(-1).method, 'DELETE');
  await accrue.attach(client, 'a'); // the token has it, but the next one would not
  assert.deepEqual(service.asked.at(-1), { c: ['subscribe'], a: ['subscribe'] });
  const held = service.hold();
  const renewal = client.renew();
  const open = await held;
  const waiting = assert.rejects(accrue.ask(client, { d: ['subscribe'] }), Unavailable);
  const givenUp = accrue.giveUp();
  open();
  await Promise.all([renewal, waiting, givenUp]);
  assert.deepEqual(service.asked.at(-1), { d: ['subscribe'] }); // who waits for an answer still gets it
  await accrue.giveUp();
  assert.equal(service.requests.at(-1).url, URL_OF_AUTH);
  await client.renew();
  assert.deepEqual(service.asked.at(-1), undefined);
  service.answers = [refusal(40100, 401)];
  await assert.rejects(accrue.giveUp({ a: ['subscribe'] }), { code: 40100, statusCode: 401 });
  const withQuery = new Accrue('/auth?tenant=1', { fetch: service.fetch });
  await withQuery.giveUp({ a: ['*'] });
  assert.match(service.requests.at(-1).url, /^\/auth\?tenant=1&capability=%7B/);
});

test('what is given up while its token is awaited was granted all the same', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  const { authorize } = client.auth;
  client.auth.authorize = () => authorize().then(() => accrue.giveUp());
  await accrue.ask(client, { a: ['subscribe'] });
  assert.equal(service.requests.length, 2);
});

test('what is no capability is told at once, and nothing is sent', async () => {
  const { service, accrue, client } = start();
  for (const wishes of [null, 'a', { a: 'subscribe' }, { a: null }]) {
    await assert.rejects(accrue.ask(client, wishes), TypeError);
  }
  await assert.rejects(accrue.attach(client, 'a', 'subscribe'), TypeError);
  await assert.rejects(accrue.giveUp({ a: 'subscribe' }), TypeError);
  assert.equal(service.requests.length, 0);
});

test('the address may be a URL, and fetch is the global one', async (t) => {
  const service = new Service();
  t.mock.method(globalThis, 'fetch', service.fetch);
  const accrue = new Accrue(new URL(URL_OF_AUTH));
  service.permitted = { a: ['history'] };
  await accrue.ask(new Client(accrue), { a: ['history'] });
  const [{ url, capability }] = service.requests;
  assert.deepEqual([url, capability], [URL_OF_AUTH, { a: ['history'] }]);
});
