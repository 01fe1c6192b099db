// Unmodified ably-js in Node against `accrue serve`. README names these scenarios by their titles.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { KEY, SECRET, keyring, run, serve } from './support/accrue.mjs';
import { HeaderClient } from './support/header_client.mjs';
import { AGE, seal } from './support/grant.mjs';
import { publishThroughout } from './support/publishing.mjs';
import { snippet } from './support/readme.mjs';
import { bearer, session } from './support/session.mjs';
import { until } from './support/until.mjs';
import { world } from './support/world.mjs';

const BOTH = ['publish', 'subscribe'];
/** What its token is good for; while it is being renewed there is none. */
const granted = (client) => JSON.parse(client.auth.tokenDetails?.capability ?? '{}');
/** The channels of each question that was put. */
const asked = (backend) => backend.questions.map((question) => Object.keys(question.asked));
const state = (client) => client.connection.state;

/** A client that carries its grant itself, connected. */
async function connected(all, clientId = 'alice', options = {}) {
  const carrier = new HeaderClient(all.accrue, clientId);
  carrier.grant = options.grant ?? carrier.grant;
  const client = all.realtime({ authCallback: carrier.authCallback });
  await client.connection.whenState('connected');
  return { carrier, client, id: client.connection.id };
}

test('one more channel comes on the same connection, and the first one misses no message', async (t) => {
  const all = await world(t);
  all.backend.permitted = { 'chat:1': BOTH, 'chat:2': ['subscribe'] };
  const { client, id } = await connected(all);
  const { client: bob } = await connected(all, 'bob');
  for (const one of [client, bob]) await one.auth.authorize({ capability: { 'chat:1': BOTH } });

  const received = [];
  await client.channels.get('chat:1').subscribe(({ data }) => received.push(data));
  const { sent, stop } = publishThroughout(t, bob.channels.get('chat:1'));
  await until(() => received.length > 20);

  const second = client.channels.get('chat:2');
  await assert.rejects(second.attach(), { code: 40160 });
  await client.auth.authorize({ capability: { 'chat:2': ['subscribe'] } });
  await second.attach();

  const seen = received.length;
  await until(() => received.length > seen + 20);
  await stop();
  await until(() => received.length >= sent.length);
  assert.deepEqual(received, sent);
  assert.equal(client.connection.id, id);
  const everything = { 'chat:1': BOTH, 'chat:2': ['subscribe'], 'inbox:alice': ['subscribe'] };
  assert.deepEqual(granted(client), everything);
  await client.auth.authorize();
  assert.deepEqual(granted(client), everything, 'and the next time');
});

suite('what was granted stays, where there is something to carry it', () => {
  const byUrl = (authMethod) => (url) => ({ authUrl: url, authMethod, authHeaders: bearer('alice') });
  const byCallback = (_, { authCallback }) => ({ authCallback });
  for (const { form, strategy, options, keeps } of [
    { form: 'authUrl by GET', options: byUrl('GET'), keeps: false },
    { form: 'authUrl by POST', options: byUrl('POST'), keeps: false },
    { form: 'authUrl by GET, strategy store', strategy: 'store', options: byUrl('GET'), keeps: true },
    { form: 'authCallback with JSON and Accrue-Grant', options: byCallback, keeps: true },
  ]) {
    test(form, async (t) => {
      const config = strategy && { strategy, store: { url: 'memory:' } };
      const { accrue, backend, realtime } = await world(t, { config });
      backend.permitted = { 'chat:1': ['subscribe'], 'chat:2': BOTH };
      const client = realtime(options(`${accrue.url}/auth`, new HeaderClient(accrue, 'alice')));
      await client.channels.get('inbox:alice').attach();
      for (const [channel, operations] of Object.entries(backend.permitted)) {
        await client.auth.authorize({ capability: { [channel]: operations } });
        await client.channels.get(channel).attach();
      }
      assert.deepEqual(Object.keys(granted(client)), [...(keeps ? ['chat:1'] : []), 'chat:2', 'inbox:alice']);
      assert.deepEqual(asked(backend), [['chat:1'], ['chat:2']], 'nothing is asked twice');
      // Ably takes back what a token does not list
      assert.equal(client.channels.get('chat:1').state, keeps ? 'attached' : 'failed');

      await client.auth.authorize({ capability: { 'chat:1': ['subscribe'] } });
      assert.deepEqual(Object.keys(granted(client)), ['chat:1', ...(keeps ? ['chat:2'] : []), 'inbox:alice']);
      assert.equal(backend.questions.length, keeps ? 2 : 3, 'what is held is not asked again');
    });
  }
});

suite('a refused wish costs nothing, nor do renewals that repeat it', () => {
  for (const { title, ably, ends } of [
    { title: 'Ably asks for a new token in time', ably: { promptBefore: 3000 }, ends: [] },
    { title: 'the token has expired', ably: { promptBefore: 60_000 }, ends: [40142] },
  ]) {
    test(title, async (t) => {
      const all = await world(t, { config: { token: { ttl: '4s' } }, ably });
      all.backend.permitted = { 'chat:1': ['subscribe'] };
      const { client, carrier, id } = await connected(all);
      const ended = [];
      client.connection.on('disconnected', ({ reason }) => ended.push(reason.code));
      await client.auth.authorize({ capability: { 'chat:1': ['subscribe'] } });
      await client.channels.get('chat:1').attach();

      await client.auth.authorize({ capability: { 'chat:1': ['publish'], 'secret:1': ['subscribe'] } });
      const expected = { 'chat:1': ['subscribe'], 'inbox:alice': ['subscribe'] };
      assert.deepEqual(granted(client), expected);
      assert.deepEqual(carrier.refused, { denied: { 'chat:1': ['publish'], 'secret:1': ['subscribe'] } });
      await assert.rejects(client.channels.get('secret:1').attach(), { code: 40160 });

      const answers = carrier.answers.length;
      await until(() => carrier.answers.length > answers && 'chat:1' in granted(client));
      assert.deepEqual(granted(client), expected);
      assert.ok(carrier.refused.denied['secret:1'], 'the SDK repeats the wish');
      await until(() => state(client) === 'connected' && client.channels.get('chat:1').state === 'attached');
      assert.equal(client.connection.id, id);
      assert.deepEqual(ended.slice(0, 1), ends);
    });
  }
});

test('strategy client: the application keeps the list, adds to it on 40160, and takes out what was refused', async (t) => {
  const { accrue, backend, realtime } = await world(t, { config: { strategy: 'client' } });
  backend.permitted = { 'chat:1': ['subscribe'], 'chat:2': ['subscribe'] };
  const client = realtime({ authUrl: `${accrue.url}/auth`, authMethod: 'POST', authHeaders: bearer('alice') });
  const list = {};
  const attach = async (name) => {
    const channel = client.channels.get(name);
    await channel.attach().catch(async (error) => {
      assert.equal(error.code, 40160);
      list[name] = ['subscribe'];
      await client.auth.authorize({ capability: list });
      if (!(name in granted(client))) delete list[name];
      await channel.attach();
    });
  };
  await attach('chat:1');
  await assert.rejects(attach('secret:1'), { code: 40160 });
  await attach('chat:2');
  assert.deepEqual(Object.keys(granted(client)), ['chat:1', 'chat:2', 'inbox:alice']);
  assert.deepEqual(asked(backend), [['chat:1'], ['chat:1', 'secret:1'], ['chat:1', 'chat:2']], 'all of it, each time');
  assert.equal(client.channels.get('chat:1').state, 'attached');
});

test('while the check is down nothing is lost, and what was missing arrives by itself afterwards', async (t) => {
  const all = await world(t);
  const held = { 'chat:1': ['subscribe'] };
  all.backend.permitted = { ...held, 'chat:2': ['subscribe'] };
  all.backend.isDown = true;
  // what it holds is due to be checked again, too
  const { client, carrier, id } = await connected(all, 'alice', { grant: seal('alice', held, AGE.stale) });
  await client.channels.get('chat:1').attach();

  await client.auth.authorize({ capability: { 'chat:2': ['subscribe'] } });
  assert.deepEqual(carrier.refused, { unavailable: { 'chat:2': ['subscribe'] } });
  assert.deepEqual(Object.keys(granted(client)), ['chat:1', 'inbox:alice']);
  const { issued, expires } = client.auth.tokenDetails;
  assert.equal(expires - issued, 5 * 60_000);

  all.backend.isDown = false;
  all.ably.of('alice')[0].prompt();                // as Ably does shortly before a token expires
  await until(() => 'chat:2' in granted(client));
  await client.channels.get('chat:2').attach();
  assert.equal(client.channels.get('chat:1').state, 'attached');
  assert.equal(client.connection.id, id);
  assert.equal(client.auth.tokenDetails.expires - client.auth.tokenDetails.issued, 60 * 60_000);
});

test('who would get nothing while the check is down is told 50003, and connects once it is back', async (t) => {
  const all = await world(t, { config: { given: undefined } });
  all.backend.permitted = { 'chat:1': ['subscribe'] };
  all.backend.isDown = true;
  const carrier = new HeaderClient(all.accrue, 'alice');
  const defaultTokenParams = { capability: '{"chat:1":["subscribe"]}' };
  const client = all.realtime({ authCallback: carrier.authCallback, defaultTokenParams });
  const { reason } = await client.connection.once('disconnected');
  assert.deepEqual([reason.code, reason.cause.code, reason.cause.statusCode], [80019, 50003, 503]);
  all.backend.isDown = false;
  await client.connection.whenState('connected');
  assert.deepEqual(granted(client), { 'chat:1': ['subscribe'] });
});

suite('a JWT instead of a token request', () => {
  const rooms = Array.from({ length: 250 }, (_, i) => `room:${String(i).padStart(4, '0')}`);
  const capability = Object.fromEntries(rooms.map((room) => [room, BOTH]));

  test('with clientId set in the SDK: connects, extends, and asks Ably for no token', async (t) => {
    const { accrue, ably, backend, realtime } = await world(t, { config: { token: { format: 'jwt' } } });
    backend.permitted = { 'chat:1': ['subscribe'] };
    const carrier = new HeaderClient(accrue, 'alice');
    const client = realtime({ authCallback: carrier.authCallback, clientId: 'alice' });
    await client.connection.whenState('connected');
    await client.auth.authorize({ capability: { 'chat:1': ['subscribe'] } });
    await client.channels.get('chat:1').attach();
    assert.match(client.auth.tokenDetails.token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
    assert.equal(client.auth.clientId, 'alice');
    assert.deepEqual(granted(client), { 'chat:1': ['subscribe'], 'inbox:alice': ['subscribe'] });
    assert.deepEqual(ably.requests, []);
  });

  test('a set too large for one comes as a token request, and every channel of it works', async (t) => {
    const all = await world(t, { config: { token: { format: 'jwt' } } });
    all.backend.permitted = capability;
    const { client } = await connected(all);
    assert.deepEqual(all.ably.requests, []);
    await client.auth.authorize({ capability });
    assert.deepEqual(all.ably.requests.map(({ path }) => path), ['/keys/appId.keyId/requestToken']);
    assert.equal(Object.keys(granted(client)).length, 251);
    for (const channel of [rooms.at(0), rooms.at(-1)]) await client.channels.get(channel).attach();
  });
});

suite('revocation', () => {
  const revocable = { admin: '127.0.0.1:0', store: { url: 'memory:' }, ably: { revocable: true } };
  const revoke = (t, accrue) => run(t, 'revoke', 'alice', '--admin', accrue.admin);

  test('a withdrawn right is gone at once from a live connection, which stays', async (t) => {
    const all = await world(t, { config: revocable });
    all.backend.permitted = { 'chat:1': ['subscribe'], 'chat:2': ['subscribe'] };
    const { client, id } = await connected(all);
    await client.auth.authorize({ capability: { 'chat:1': ['subscribe'], 'chat:2': ['subscribe'] } });
    for (const channel of ['chat:1', 'chat:2']) await client.channels.get(channel).attach();
    delete all.backend.permitted['chat:1'];
    assert.equal(client.channels.get('chat:1').state, 'attached', 'a token that is out is out');

    assert.equal((await revoke(t, all.accrue)).code, 0);
    await until(() => client.channels.get('chat:1').state === 'failed');
    assert.equal(client.channels.get('chat:1').errorReason.code, 40160);
    assert.equal(client.channels.get('chat:2').state, 'attached');
    assert.deepEqual(granted(client), { 'chat:2': ['subscribe'], 'inbox:alice': ['subscribe'] });
    assert.deepEqual([state(client), client.connection.id], ['connected', id]);
  });

  test('a client that does not come back for a new token is cut off when the margin is over', async (t) => {
    const all = await world(t, { config: revocable, ably: { margin: 300 } });
    const { carrier } = await connected(all);
    let isStubborn = false;
    const happened = [];
    const authCallback = (params, done) => {
      if (!isStubborn) return carrier.authCallback(params, done);
      happened.push('asked to renew');
      return done({ code: 50000, statusCode: 500, message: 'no' }, null);
    };
    const client = all.realtime({ authCallback });
    client.connection.on('disconnected', () => happened.push('cut off'));
    await client.connection.whenState('connected');
    isStubborn = true;
    const cut = client.connection.once('disconnected');
    await revoke(t, all.accrue);
    assert.equal((await cut).reason.code, 40141);
    assert.deepEqual(happened.slice(0, 2), ['asked to renew', 'cut off']);
    isStubborn = false;
    await client.connection.whenState('connected');
  });

  test('a barred client ends in FAILED, with our message', async (t) => {
    const all = await world(t, { config: revocable });
    all.backend.permitted = { 'chat:1': ['subscribe'] };
    const { client } = await connected(all);
    await client.auth.authorize({ capability: { 'chat:1': ['subscribe'] } });
    all.backend.barred.add('alice');
    const end = client.connection.once('failed');
    await revoke(t, all.accrue);
    const { reason } = await end;
    assert.deepEqual([reason.code, reason.statusCode, reason.cause.code], [80019, 403, 40300]);
    assert.match(reason.cause.message, /barred/);
  });
});

test('a logged-out client gets 40100, tries again, and connects when the session is back', async (t) => {
  const all = await world(t);
  const { client, carrier, id } = await connected(all);
  carrier.session = 'over';
  await assert.rejects(client.auth.authorize(), { code: 40100, statusCode: 401 });
  assert.deepEqual([state(client), client.connection.id], ['connected', id], 'the token that it has is good');

  const late = all.realtime({ authCallback: carrier.authCallback });
  const { reason } = await late.connection.once('disconnected');
  assert.deepEqual([reason.code, reason.cause.code], [80019, 40100]);
  carrier.session = session('alice');
  await late.connection.whenState('connected');
});

suite('the README, as it is written', () => {
  test('catch 40160, authorize, attach again; a refusal is 40160 again, and asked about once', async (t) => {
    const { accrue, backend, realtime } = await world(t, { config: { strategy: 'store', store: { url: 'memory:' } } });
    backend.permitted = { 'chat:1': ['subscribe'], 'chat:2': BOTH };
    function Realtime({ authUrl }) {
      return realtime({ authUrl: accrue.url + authUrl, authHeaders: bearer('alice') });
    }
    const { ably, attach } = snippet('async function attach', ['Ably'], '{ ably, attach }')({ Realtime });
    assert.equal((await attach('inbox:alice')).state, 'attached');
    assert.equal((await attach('chat:1')).state, 'attached');
    assert.equal((await attach('chat:2')).state, 'attached');
    await assert.rejects(attach('secret:1'), { code: 40160 });
    await assert.rejects(attach('chat:1:x'), { code: 40160 });
    assert.deepEqual(Object.keys(granted(ably)), ['chat:1', 'chat:2', 'inbox:alice']);
    assert.deepEqual(asked(backend), [['chat:1'], ['chat:2'], ['secret:1'], ['chat:1:x']]);
  });

  test('authCallback with Accrue-Grant', async (t) => {
    const { accrue, backend, realtime } = await world(t);
    backend.permitted = { 'chat:1': ['subscribe'], 'chat:2': ['subscribe'] };
    const there = (url, options) => fetch(url.replace('https://auth.example.com', accrue.url), options);
    const readmes = snippet('function authCallback', ['session', 'fetch'], '{ authCallback }');
    const { authCallback } = readmes(session('alice'), there);
    const client = realtime({ authCallback });
    await client.connection.whenState('connected');
    for (const channel of Object.keys(backend.permitted)) {
      await client.auth.authorize({ capability: { [channel]: ['subscribe'] } });
      await client.channels.get(channel).attach();
    }
    await client.auth.authorize();
    assert.deepEqual(Object.keys(granted(client)), ['chat:1', 'chat:2', 'inbox:alice']);
    assert.equal(backend.questions.length, 2);
    const malformed = { capability: { 'chat:1': ['fly'] } };
    await assert.rejects(client.auth.authorize(malformed), { code: 40000, statusCode: 400, message: /"fly"/ });
  });
});

suite('what it promises', () => {
  test('no token is wider than what is permitted, nor than the key', async (t) => {
    const capability = { 'chat:*': ['subscribe', 'publish', 'presence'], 'inbox:*': ['*'] };
    const all = await world(t, { config: { ably: { capability } } });
    all.backend.permitted = { 'chat:1': ['subscribe', 'history'], 'other:1': ['subscribe'] };
    const { client, carrier } = await connected(all);
    const wishes = { 'chat:*': ['subscribe'], 'chat:1': ['*'], 'other:1': ['subscribe'] };
    await client.auth.authorize({ capability: wishes });
    assert.deepEqual(granted(client), { 'inbox:alice': ['subscribe'] });
    assert.deepEqual(carrier.refused, { denied: wishes });
    await client.auth.authorize({ capability: { 'chat:1': ['subscribe', 'publish', 'history'] } });
    assert.deepEqual(granted(client), { 'chat:1': ['subscribe'], 'inbox:alice': ['subscribe'] });
    for (const channel of ['chat:2', 'other:1', 'inbox:bob']) {
      await assert.rejects(client.channels.get(channel).attach(), { code: 40160 });
    }
    await assert.rejects(client.channels.get('chat:1').publish('n', '1'), { code: 40160 });
  });

  test('nothing granted, no token: 40160 says how to ask', async (t) => {
    const all = await world(t, { config: { given: undefined } });
    const client = all.realtime({ authUrl: `${all.accrue.url}/auth`, authHeaders: bearer('alice') });
    const { reason } = await client.connection.once('disconnected');
    assert.deepEqual([reason.code, reason.cause.code, reason.cause.statusCode], [80019, 40160, 401]);
    assert.match(reason.cause.message, /capability/);
    assert.deepEqual(all.ably.requests, []);
  });

  test('after recheck_after a withdrawn permission is gone from the next token; the connection stays', async (t) => {
    const all = await world(t);
    const held = { 'chat:1': ['subscribe'], 'chat:2': ['subscribe'] };
    all.backend.permitted = { 'chat:2': ['subscribe'] };
    const young = await connected(all, 'alice', { grant: seal('alice', held, AGE.fresh) });
    assert.deepEqual(Object.keys(granted(young.client)), ['chat:1', 'chat:2', 'inbox:alice']);
    assert.deepEqual(all.backend.questions, []);

    await young.client.channels.get('chat:1').attach();
    young.carrier.grant = seal('alice', held, AGE.stale);
    all.ably.of('alice')[0].prompt();
    await until(() => young.client.channels.get('chat:1').state === 'failed');
    assert.deepEqual(Object.keys(granted(young.client)), ['chat:2', 'inbox:alice']);
    assert.deepEqual([state(young.client), young.client.connection.id], ['connected', young.id]);
  });

  test('beyond twice recheck_after a grant counts for nothing while the check is down', async (t) => {
    const all = await world(t);
    all.backend.isDown = true;
    const { client } = await connected(all, 'alice', { grant: seal('alice', { 'chat:1': ['subscribe'] }, AGE.tooOld) });
    assert.deepEqual(Object.keys(granted(client)), ['inbox:alice']);
  });

  test('what does not fit is refused as full, and all that was granted before stays', async (t) => {
    const all = await world(t);
    const { client, carrier } = await connected(all);
    const rooms = Array.from({ length: 200 }, () => `room:${randomBytes(16).toString('hex')}`);
    const wishes = Object.fromEntries(rooms.map((room) => [room, ['subscribe']]));
    all.backend.permitted = wishes;
    await client.auth.authorize({ capability: wishes });
    const kept = Object.keys(granted(client)).filter((name) => name !== 'inbox:alice');
    assert.ok(kept.length > 50 && kept.length < 200, `${kept.length}`);
    assert.deepEqual(carrier.refused, { truncated: true });
    await client.channels.get(kept.at(-1)).attach();

    const [left] = Object.keys(wishes).filter((name) => !kept.includes(name));
    await client.auth.authorize({ capability: { [left]: ['subscribe'] } });
    assert.deepEqual(carrier.refused, { full: { [left]: ['subscribe'] } });
    await client.auth.authorize();
    assert.deepEqual(Object.keys(granted(client)).filter((name) => name !== 'inbox:alice'), kept);
  });

  test('a grant counts for nothing in the hands of another client, for another app, or changed by a character', async (t) => {
    const ofAnotherApp = KEY.replace('appId', 'otherApp');
    const all = await world(t, { ably: { keys: [{ key: KEY }, { key: ofAnotherApp }] } });
    all.backend.permitted = { 'chat:1': ['subscribe'] };
    const { client, carrier } = await connected(all);
    await client.auth.authorize({ capability: { 'chat:1': ['subscribe'] } });
    const changed = carrier.grant.replace(/.$/, (last) => (last === 'A' ? 'E' : 'A'));
    const anew = await connected(all, 'alice', { grant: carrier.grant });
    await anew.client.channels.get('chat:1').attach();
    for (const [clientId, grant] of [['mallory', carrier.grant], ['alice', changed]]) {
      const thief = await connected(all, clientId, { grant });
      assert.deepEqual(granted(thief.client), { [`inbox:${clientId}`]: ['subscribe'] });
      await assert.rejects(thief.client.channels.get('chat:1').attach(), { code: 40160 });
    }
    const elsewhere = { ...all, accrue: await serve(t, all.settings, { ABLY_API_KEY: ofAnotherApp }) };
    const there = await connected(elsewhere, 'alice', { grant: carrier.grant });
    assert.deepEqual(granted(there.client), { 'inbox:alice': ['subscribe'] });
    assert.equal(all.backend.questions.length, 1);
  });

  test('a rotated secret locks nobody out', async (t) => {
    const next = { kid: 'k2', bytes: Buffer.from('what seals grants in the future.') };
    const all = await world(t);
    all.backend.permitted = { 'chat:1': ['subscribe'] };
    const { client, carrier, id } = await connected(all);
    await client.auth.authorize({ capability: { 'chat:1': ['subscribe'] } });
    await client.channels.get('chat:1').attach();
    const steps = [[[SECRET, next], 'k1'], [[next, SECRET], 'k2'], [[next], 'k2']];
    for (const [secrets, kid] of steps) {
      const accrue = await serve(t, all.settings, { ACCRUE_SECRETS: keyring(...secrets) });
      carrier.url = `${accrue.url}/auth`;
      await client.auth.authorize();
      assert.match(carrier.grant, new RegExp(`^1[jz]\\.${kid}\\.`));
    }
    assert.equal(client.channels.get('chat:1').state, 'attached');
    assert.equal(client.connection.id, id);
    assert.equal(all.backend.questions.length, 1, 'nothing had to be asked again');
  });

  test('another Ably key ends a running connection with 40102; a new one keeps what is held', async (t) => {
    const other = KEY.replace('keyId', 'otherId');
    const all = await world(t, { ably: { keys: [{ key: KEY }, { key: other }] } });
    all.backend.permitted = { 'chat:1': ['subscribe'] };
    const { client, carrier } = await connected(all);
    await client.auth.authorize({ capability: { 'chat:1': ['subscribe'] } });
    const accrue = await serve(t, all.settings, { ABLY_API_KEY: other });
    carrier.url = `${accrue.url}/auth`;
    client.auth.authorize().catch(() => {});
    const { reason } = await client.connection.once('failed');
    assert.equal(reason.code, 40102);

    const anew = all.realtime({ authCallback: carrier.authCallback });
    await anew.connection.whenState('connected');
    assert.deepEqual(Object.keys(granted(anew)), ['chat:1', 'inbox:alice']);
    assert.equal(all.backend.questions.length, 1, 'a grant is for every key of the app');
  });
});
