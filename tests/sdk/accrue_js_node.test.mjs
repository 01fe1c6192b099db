// examples/browser/accrue.js in Node, with unmodified ably-js, against `accrue serve`.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Accrue, Denied, Full, Unavailable } from '../../examples/browser/accrue.js';
import { HeaderClient } from './support/header_client.mjs';
import { bearer } from './support/session.mjs';
import { until } from './support/until.mjs';
import { world } from './support/world.mjs';

const BOTH = ['publish', 'subscribe'];
const SUBSCRIBE = ['subscribe'];
const granted = (client) => JSON.parse(client.auth.tokenDetails.capability);
const asked = (backend) => backend.questions.map((question) => question.asked);
const capabilityOf = (names, operations = SUBSCRIBE) => Object.fromEntries(names.map((name) => [name, operations]));
const numbered = (count, prefix) => Array.from({ length: count }, (_, i) => `${prefix}:${i}`);

/** alice's Accrue and client. `requests`: what each of them wished for. */
function start({ accrue: { url }, realtime }, { sdk, ...options } = {}) {
  const requests = [];
  const counting = (...args) => {
    requests.push(JSON.parse(args[1].body ?? '{}').capability);
    return fetch(...args);
  };
  const headers = bearer('alice');
  const accrue = new Accrue(`${url}/auth`, { carrier: 'header', headers, fetch: counting, ...options });
  return { accrue, client: realtime({ authCallback: accrue.authCallback, ...sdk }), requests };
}

async function connected(all, options) {
  const one = start(all, options);
  await one.client.connection.whenState('connected');
  return one;
}

/** Holds the backend's answers back until what this gives is called. */
function hold(backend) {
  let release;
  const released = new Promise((resolve) => { release = resolve; });
  backend.ready = () => released;
  return release;
}

/** What became of each attempt to attach: the channel's state, or the error's name. */
const outcomes = async (attempts) =>
  (await Promise.allSettled(attempts)).map(({ value, reason }) => value?.state ?? reason.name);

test('a page that loads and attaches four channels makes one request, and the backend is asked once', async (t) => {
  const all = await world(t);
  all.backend.permitted = { 'chat:1': BOTH, 'chat:2': SUBSCRIBE };
  const { accrue, client, requests } = start(all);
  const attached = await outcomes([
    accrue.attach(client, 'chat:1', BOTH), accrue.attach(client, 'chat:2'),
    accrue.attach(client, 'inbox:alice'), accrue.attach(client, 'secret:1'),
  ]);
  assert.deepEqual(attached, ['attached', 'attached', 'attached', 'Denied']);
  assert.equal(requests.length, 1);
  assert.deepEqual(asked(all.backend), [{ 'chat:1': BOTH, 'chat:2': SUBSCRIBE, 'secret:1': SUBSCRIBE }]);
  assert.equal(client.connection.errorReason, null);
});

test('what is given needs no request of its own, and what the token has none at all', async (t) => {
  const all = await world(t);
  all.backend.permitted = { 'chat:1': BOTH };
  const { accrue, client, requests } = await connected(all);
  await accrue.attach(client, 'inbox:alice');
  assert.equal(requests.length, 1);
  await accrue.attach(client, 'chat:1', BOTH);
  await accrue.attach(client, 'chat:1');
  assert.deepEqual(requests, [undefined, { 'chat:1': ['publish', 'subscribe'] }]);
});

test('the right to publish is gained on an attached channel, which stays as it is', async (t) => {
  const all = await world(t);
  all.backend.permitted = { 'chat:1': SUBSCRIBE };
  const { accrue, client } = start(all);
  const channel = await accrue.attach(client, 'chat:1');
  const { id } = client.connection;
  const states = [];
  channel.on(({ current }) => states.push(current));
  const received = [];
  await channel.subscribe(({ data }) => received.push(data));
  await assert.rejects(channel.publish('n', 'too early'), { code: 40160 });
  await assert.rejects(accrue.attach(client, 'chat:1', BOTH), (error) => {
    assert.ok(error instanceof Denied);
    assert.deepEqual(error.refused, { 'chat:1': ['publish'] });
    return true;
  });

  all.backend.permitted = { 'chat:1': BOTH };
  await accrue.attach(client, 'chat:1', BOTH);
  await channel.publish('n', 'now');
  await until(() => received.length);
  assert.deepEqual(received, ['now']);
  assert.deepEqual(states, []);
  assert.equal(client.connection.id, id);
});

test('a denied channel is an error for whoever asked, and no renewal repeats it', async (t) => {
  const all = await world(t);
  all.backend.permitted = { 'chat:1': SUBSCRIBE };
  const { accrue, client, requests } = await connected(all);
  await assert.rejects(accrue.attach(client, 'secret:1'), (error) => {
    assert.ok(error instanceof Denied);
    const { code, statusCode, message } = error;
    assert.deepEqual([code, statusCode, message], [40160, 401, 'denied: {"secret:1":["subscribe"]}']);
    return true;
  });
  await accrue.attach(client, 'chat:1');
  all.ably.of('alice')[0].prompt(); // as before a token expires
  await until(() => requests.length === 4);
  assert.deepEqual(requests, [undefined, { 'secret:1': SUBSCRIBE }, { 'chat:1': SUBSCRIBE }, undefined]);
  assert.equal(client.connection.state, 'connected');
});

test('an unavailable channel arrives with a renewal by itself, and attaching it then needs no request', async (t) => {
  const all = await world(t);
  all.backend.permitted = { 'chat:1': SUBSCRIBE };
  all.backend.isDown = true;
  const { accrue, client, requests } = await connected(all);
  await assert.rejects(accrue.attach(client, 'chat:1'), Unavailable);
  assert.equal(client.connection.state, 'connected');

  all.backend.isDown = false;
  all.ably.of('alice')[0].prompt();
  await until(() => 'chat:1' in (client.auth.tokenDetails ? granted(client) : {}));
  assert.equal((await accrue.attach(client, 'chat:1')).state, 'attached');
  assert.deepEqual(requests, [undefined, { 'chat:1': SUBSCRIBE }, { 'chat:1': SUBSCRIBE }]);
});

test('while accrue does not answer, what is new is unavailable, and what the token has can be attached', async (t) => {
  const all = await world(t);
  const { accrue, client } = await connected(all);
  await all.accrue.stop();
  await assert.rejects(accrue.attach(client, 'chat:1'), (error) => {
    assert.ok(error instanceof Unavailable);
    assert.deepEqual([error.cause.code, error.cause.statusCode], [40170, 401]);
    return true;
  });
  assert.equal((await accrue.attach(client, 'inbox:alice')).state, 'attached');
});

test('a client that would get nothing while the check is down connects with its wish once it is back', async (t) => {
  const all = await world(t, { config: { given: undefined } });
  all.backend.permitted = { 'chat:1': SUBSCRIBE };
  all.backend.isDown = true;
  const { accrue, client } = start(all);
  await assert.rejects(accrue.attach(client, 'chat:1'), (error) => {
    assert.ok(error instanceof Unavailable);
    assert.equal(error.cause.code, 50003);
    return true;
  });
  all.backend.isDown = false;
  await client.connection.whenState('connected');
  assert.deepEqual(granted(client), { 'chat:1': SUBSCRIBE });
});

test('a client that gets nothing at all hears that it is denied', async (t) => {
  const all = await world(t, { config: { given: undefined } });
  const { accrue, client } = start(all);
  await assert.rejects(accrue.attach(client, 'secret:1'), (error) => {
    assert.ok(error instanceof Denied);
    assert.equal(error.cause.code, 40160);
    return true;
  });
  assert.equal(client.connection.state, 'disconnected');
});

test('what there is no room for is full, and there is room again once something is given up', async (t) => {
  const all = await world(t, { config: { cookie: { max_bytes: 256 } } });
  // no two alike, or they would be packed
  const names = numbered(4, 'room').map((name) => `${name}:${randomBytes(30).toString('hex')}`);
  all.backend.permitted = capabilityOf(names);
  const { accrue, client } = start(all);
  const attached = await outcomes(names.map((name) => accrue.attach(client, name)));
  assert.ok(attached.includes('attached') && attached.includes('Full'), attached.join());
  const left = names[attached.indexOf('Full')];
  await assert.rejects(accrue.attach(client, left), Full);
  await accrue.giveUp();
  await accrue.attach(client, left);
  assert.deepEqual(Object.keys(granted(client)).sort(), ['inbox:alice', left]);
});

test('a hundred channels at once are one request', async (t) => {
  const all = await world(t);
  const names = numbered(100, 'chat');
  all.backend.permitted = capabilityOf(names);
  const { accrue, client, requests } = await connected(all);
  const attached = await outcomes(names.map((name) => accrue.attach(client, name)));
  assert.deepEqual(new Set(attached), new Set(['attached']));
  assert.equal(requests.length, 2);
  assert.equal(all.backend.questions.length, 1);
});

test('of a hundred channels those that are denied are told, also if a header has no room for all', async (t) => {
  const all = await world(t);
  const names = numbered(100, 'a-name-that-soon-fills-a-header');
  all.backend.permitted = capabilityOf(names.slice(0, 50));
  const { accrue, client } = await connected(all);
  const attached = await outcomes(names.map((name) => accrue.attach(client, name)));
  assert.deepEqual(attached, names.map((_, i) => (i < 50 ? 'attached' : 'Denied')));
});

test('two wishes at once, of which ably-js alone loses one, are both kept', async (t) => {
  const all = await world(t);
  all.backend.permitted = capabilityOf(['chat:1', 'chat:2']);
  const alone = all.realtime({ authCallback: new HeaderClient(all.accrue, 'alice').authCallback });
  await alone.connection.whenState('connected');
  await Promise.all(['chat:1', 'chat:2'].map((name) => alone.auth.authorize({ capability: capabilityOf([name]) })));
  assert.equal(Object.keys(granted(alone)).length, 2, 'one of them, and what is given');

  const { accrue, client } = await connected(all);
  const release = hold(all.backend);
  const ours = accrue.attach(client, 'chat:1');
  await until(() => all.backend.questions.length === 3);
  const theirs = client.auth.authorize({ capability: capabilityOf(['chat:2']) });
  release();
  await theirs;
  await client.channels.get('chat:2').attach();
  assert.equal((await ours).state, 'attached');
  assert.deepEqual(Object.keys(granted(client)), ['chat:1', 'chat:2', 'inbox:alice']);
});

test('what is wished for while an answer is on its way comes with the next one', async (t) => {
  const all = await world(t);
  all.backend.permitted = capabilityOf(['chat:1', 'chat:2', 'chat:3']);
  const { accrue, client, requests } = await connected(all);
  const release = hold(all.backend);
  const first = accrue.attach(client, 'chat:1');
  await until(() => all.backend.questions.length);
  const others = ['chat:2', 'chat:3'].map((name) => accrue.attach(client, name));
  release();
  assert.deepEqual(await outcomes([first, ...others]), ['attached', 'attached', 'attached']);
  assert.deepEqual(requests, [undefined, capabilityOf(['chat:1']), capabilityOf(['chat:2', 'chat:3'])]);
});

test('a connection that breaks meanwhile is resumed, and the channel attached', async (t) => {
  const all = await world(t);
  all.backend.permitted = capabilityOf(['chat:1', 'chat:2']);
  const { accrue, client } = await connected(all);
  const { id } = client.connection;
  const release = hold(all.backend);
  const attached = accrue.attach(client, 'chat:1');
  await until(() => all.backend.questions.length);
  const broken = client.connection.once('disconnected');
  all.ably.of('alice')[0].drop();
  await broken;
  const another = accrue.attach(client, 'chat:2');
  release();
  assert.deepEqual(await outcomes([attached, another]), ['attached', 'attached']);
  assert.equal(client.connection.id, id);
});

test('a client that is closed meanwhile ends the wait', async (t) => {
  const all = await world(t);
  const { accrue, client } = await connected(all);
  hold(all.backend);
  const waiting = ['chat:1', 'chat:2'].map((name) => accrue.attach(client, name));
  await until(() => all.backend.questions.length);
  client.close();
  for (const wait of waiting) await assert.rejects(wait, { code: 80017 });
  assert.equal(client.connection.state, 'closed');
});

test('a barred client ends in FAILED, whoever waits is told, and nothing is repeated', async (t) => {
  const all = await world(t);
  const { accrue, client, requests } = await connected(all);
  all.backend.barred.add('alice');
  const waiting = ['chat:1', 'chat:2', 'chat:3'].map((name) => accrue.attach(client, name));
  for (const wait of waiting) await assert.rejects(wait, { code: 40300, statusCode: 403 });
  await client.connection.whenState('failed');
  assert.match(client.connection.errorReason.cause.message, /this client is barred: do not connect again/);
  assert.equal(requests.length, 2);
  await assert.rejects(accrue.attach(client, 'chat:1'), { code: 40300 });
  assert.equal(client.connection.state, 'failed');
});

test('with a storage, what a client holds survives a reload', async (t) => {
  const all = await world(t);
  all.backend.permitted = capabilityOf(['chat:1', 'chat:2']);
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const before = start(all, { storage });
  await before.accrue.attach(before.client, 'chat:1');
  before.client.close();

  const { accrue, client, requests } = await connected(all, { storage });
  await accrue.attach(client, 'chat:1');
  assert.deepEqual(requests, [undefined]);
  await accrue.attach(client, 'chat:2');
  assert.deepEqual(Object.keys(granted(client)), ['chat:1', 'chat:2', 'inbox:alice']);
  assert.deepEqual(asked(all.backend), [capabilityOf(['chat:1']), capabilityOf(['chat:2'])]);

  await accrue.giveUp({ 'chat:1': SUBSCRIBE });
  const { client: third } = await connected(all, { storage });
  assert.deepEqual(Object.keys(granted(third)), ['chat:2', 'inbox:alice']);
});
