// The stand-in for Ably by a raw WebSocket: who may connect, and what is said on a connection and between them.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { KEY, REVOCABLE } from './support/ably_keys.mjs';
import { revokeTokens } from './support/ably_rest.mjs';
import { ALL, grant, jwt, tokenRequest } from './support/ably_signed.mjs';
import { MODE, RawClient, attach, auth, connected, detach, presence, publish } from './support/raw_client.mjs';
import { rows } from './support/rows.mjs';
import { start } from './support/stand_in.mjs';
import { NOW, SECOND } from './support/time.mjs';

suite('connecting', () => {
  const [alice, mallory] = [{ 'x-ably-clientId': 'alice' }, { 'x-ably-clientId': 'mallory' }];
  const iat = NOW / 1000;
  rows([
    ['with a JWT', () => jwt(), {}, 'CONNECTED'],
    ['with an Ably token', (ably) => ably.tokens.exchange('app.key', tokenRequest()).token, {}, 'CONNECTED'],
    ['by the other name of the parameter', () => undefined, { accessToken: jwt() }, 'CONNECTED'],
    ['in JSON', () => jwt(), { format: 'json' }, 'CONNECTED'],
    ['in MessagePack', () => jwt(), { format: 'msgpack' }, 'ERROR 40000/400'],
    ['without a token', () => undefined, {}, 'ERROR 40101/401'],
    ['with a key', () => undefined, { key: KEY }, 'ERROR 40101/401'],
    ['with a token that there is not', () => 'app.unknown', {}, 'ERROR 40143/401'],
    ['with an expired one', () => jwt({ iat: iat - 60, exp: iat }), {}, 'ERROR 40142/401'],
    ['with a revoked one', () => jwt({ ...mallory, iat: iat - 60, exp: iat + 60 }, REVOCABLE), {}, 'ERROR 40141/401'],
    ['with a bad JWT', () => jwt({}, KEY, { alg: 'none' }), {}, 'ERROR 40144/401'],
    ['with a JWT by another secret', () => jwt({}, 'app.key:guessed'), {}, 'ERROR 40101/401'],
    ['with a JWT of a key that there is not', () => jwt({}, 'app.no:secret'), {}, 'ERROR 40400/404'],
    ['with a JWT for longer than a day', () => jwt({ exp: iat + 86_401 }), {}, 'ERROR 40003/400'],
    ['as the one of the token', () => jwt(alice), { clientId: 'alice' }, 'CONNECTED', 'alice'],
    ['as nobody, with a token of one', () => jwt(alice), {}, 'CONNECTED', 'alice'],
    ['as another', () => jwt(alice), { clientId: 'bob' }, 'ERROR 40102/401'],
    ['as one, with a token of nobody', () => jwt(), { clientId: 'bob' }, 'ERROR 40101/401'],
    ['as one, with a token of anybody', () => jwt({ 'x-ably-clientId': '*' }), { clientId: 'bob' }, 'CONNECTED', 'bob'],
    ['as nobody, with a token of anybody', () => jwt({ 'x-ably-clientId': '*' }), {}, 'CONNECTED', '*'],
  ], async (t, token, query, expected, clientId) => {
    const ably = await start(t, { now: () => NOW });
    await revokeTokens(ably, { targets: ['clientId:mallory'] });
    const accessToken = token(ably);
    const client = await RawClient.connect(t, ably, { ...query, ...accessToken && { access_token: accessToken } });
    const { connectionId, connectionDetails } = await client.hears(expected);
    if (expected === 'CONNECTED') {
      const [connection] = ably.of(clientId);
      assert.equal(connectionDetails.clientId, clientId);
      assert.equal(connectionId, connection.id);
      assert.equal(connectionDetails.connectionKey, connection.key);
      await client.hearsNothing();
    } else {
      await client.hears('closed');
      assert.equal(ably.connections.size, 0);
    }
  });

  rows([
    ['no JSON', '{', 'ERROR 40000/400'],
    ['no object', 'null', 'ERROR 40000/400'],
    ['no text', Buffer.from([0xff, 0x00]), 'ERROR 40000/400'],
    ['attaching to nothing', '{"action":10}', 'ERROR 40000/400'],
    ['attaching to a name that starts with a colon', '{"action":10,"channel":":a"}', 'ERROR :a 40010/400'],
    ['attaching to no name', '{"action":10,"channel":""}', 'ERROR  40010/400'],
    ['publishing nothing', '{"action":15,"channel":"a","msgSerial":0}', 'NACK 0 40000/400'],
    ['publishing null', '{"action":15,"channel":"a","msgSerial":0,"messages":[null]}', 'NACK 0 40000/400'],
    ['a number for a token', '{"action":17,"auth":{"accessToken":1}}', 'ERROR 40000/400'],
  ], async (t, text, expected) => {
    const ably = await start(t, { now: () => NOW });
    const client = await connected(t, ably, 'alice');
    client.socket.send(text);
    await client.hears(expected);
    await (await connected(t, ably, 'bob')).hearsNothing();
  });

  test('a heartbeat every five seconds', async (t) => {
    const { mock } = t.mock.method(globalThis, 'setInterval', () => ({ unref: () => {} }));
    const ably = await start(t, { now: () => NOW });
    const client = await connected(t, ably, 'alice');
    const [act, delay] = mock.calls[0].arguments;
    assert.equal(delay, 5 * SECOND);
    await client.hearsNothing();
    act();
    await client.hears('HEARTBEAT');
  });
});

suite('on one connection', () => {
  const room = (...operations) => ({ room: operations });
  rows([
    ['attach', room('subscribe'), [attach('room')], ['ATTACHED room']],
    ['attach with another right', room('publish'), [attach('room')], ['ATTACHED room']],
    ['attach without one', room('history'), [attach('room')], ['ERROR room 40160/401']],
    ['attach to another', room('*'), [attach('room:1')], ['ERROR room:1 40160/401']],
    ['attach in a mode without the right', room('publish'), [attach('room', { flags: MODE.SUBSCRIBE })], [
      'ERROR room 40160/401',
    ]],
    ['one fails, another does not', room('subscribe'), [attach('hall'), attach('room')], [
      'ERROR hall 40160/401', 'ATTACHED room',
    ]],
    ['publish', room('publish'), [attach('room'), publish('room', 'x')], ['ATTACHED room', 'ACK 0']],
    ['publish and hear', room('publish', 'subscribe'), [attach('room'), publish('room', 'x'), publish('room', 'y')], [
      'ATTACHED room', 'ACK 0', 'MESSAGE room alice x', 'ACK 1', 'MESSAGE room alice y',
    ]],
    ['publish again what was published', room('*'), [
      attach('room'), publish('room', 'x'), { ...publish('room', 'x'), msgSerial: 0 },
    ], ['ATTACHED room', 'ACK 0', 'MESSAGE room alice x', 'ACK 0']],
    ['publish without attaching', room('publish'), [publish('room', 'x')], ['ACK 0']],
    ['publish without the right', room('subscribe'), [attach('room'), publish('room', 'x')], [
      'ATTACHED room', 'NACK 0 40160/401',
    ]],
    ['publish without the right or attaching', room('subscribe'), [publish('room', 'x')], ['NACK 0 40160/401']],
    ['publish elsewhere', room('publish'), [publish('hall', 'x')], ['NACK 0 40160/401']],
    ['publish in a mode not asked for', room('*'), [attach('room', { flags: MODE.SUBSCRIBE }), publish('room', 'x')], [
      'ATTACHED room', 'NACK 0 40165/401',
    ]],
    ['hear in a mode not asked for', room('*'), [attach('room', { flags: MODE.PUBLISH }), publish('room', 'x')], [
      'ATTACHED room', 'ACK 0',
    ]],
    ['enter', room('presence', 'subscribe'), [attach('room'), presence('enter', 'room')], [
      'ATTACHED room', 'ACK 0', 'PRESENCE room alice enter',
    ]],
    ['enter and leave', room('presence', 'subscribe'), [
      attach('room'), presence('enter', 'room'), presence('leave', 'room'), attach('room'),
    ], [
      'ATTACHED room', 'ACK 0', 'PRESENCE room alice enter', 'ACK 1', 'PRESENCE room alice leave', 'ATTACHED room',
    ]],
    ['enter without hearing', room('presence'), [attach('room'), presence('enter', 'room'), attach('room')], [
      'ATTACHED room', 'ACK 0', 'ATTACHED room',
    ]],
    ['enter without the right', room('subscribe'), [attach('room'), presence('enter', 'room')], [
      'ATTACHED room', 'NACK 0 40160/401',
    ]],
    ['enter in a mode not asked for', room('*'), [
      attach('room', { flags: MODE.PRESENCE_SUBSCRIBE }), presence('enter', 'room'),
    ], ['ATTACHED room', 'NACK 0 40165/401']],
    ['enter in another mode', room('*'), [attach('room', { flags: MODE.PUBLISH }), presence('enter', 'room')], [
      'ATTACHED room', 'NACK 0 40165/401',
    ]],
    ['enter in that mode', room('*'), [attach('room', { flags: MODE.PRESENCE }), presence('enter', 'room')], [
      'ATTACHED room', 'ACK 0',
    ]],
    ['enter again who has entered', room('*'), [
      attach('room'), presence('enter', 'room'), { ...presence('enter', 'room'), msgSerial: 0 },
    ], ['ATTACHED room', 'ACK 0', 'PRESENCE room alice enter', 'ACK 0']],
    ['the present are not present elsewhere', { '*': ['*'] }, [
      attach('room'), presence('enter', 'room'), attach('hall'),
    ], ['ATTACHED room', 'ACK 0', 'PRESENCE room alice enter', 'ATTACHED hall']],
    ['enter without attaching', room('presence'), [presence('enter', 'room')], ['NACK 0 91001/400']],
    ['enter after detaching', room('*'), [attach('room'), detach('room'), presence('enter', 'room')], [
      'ATTACHED room', 'DETACHED room', 'NACK 0 91001/400',
    ]],
    ['the present are told to who attaches', room('presence', 'subscribe'), [
      attach('room'), presence('enter', 'room'), attach('room'),
    ], ['ATTACHED room', 'ACK 0', 'PRESENCE room alice enter', 'ATTACHED room', 'SYNC room alice present']],
    ['detach, and hear no more', room('*'), [attach('room'), detach('room'), publish('room', 'x')], [
      'ATTACHED room', 'DETACHED room', 'ACK 0',
    ]],
    ['close', room('*'), [{ action: 7 }], ['CLOSED', 'closed']],
    ['disconnect', room('*'), [{ action: 5 }], ['closed']],
    ['an action that there is not', room('*'), [{ action: 99 }], ['ERROR 40000/400', 'closed']],
  ], async (t, capability, said, told) => {
    const ably = await start(t, { now: () => NOW });
    const client = await connected(t, ably, 'alice', capability);
    for (const message of said) client.send(message);
    await client.hears(...told);
    if (!told.includes('closed')) await client.hearsNothing();
  });

  suite('flags of an attachment: what was asked for and is permitted', () => {
    rows([
      ['everything', ['*'], 0, MODE.PRESENCE | MODE.PUBLISH | MODE.SUBSCRIBE | MODE.PRESENCE_SUBSCRIBE],
      ['subscribe', ['subscribe'], 0, MODE.SUBSCRIBE | MODE.PRESENCE_SUBSCRIBE],
      ['publish', ['publish'], 0, MODE.PUBLISH],
      ['presence', ['presence'], 0, MODE.PRESENCE],
      ['a mode', ['*'], MODE.SUBSCRIBE, MODE.SUBSCRIBE],
      ['two modes, one of them permitted', ['publish'], MODE.PUBLISH | MODE.PRESENCE, MODE.PUBLISH],
    ], async (t, operations, flags, expected) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice', { room: operations });
      client.send(attach('room', { flags }));
      assert.equal((await client.hears('ATTACHED room')).flags, expected);
    });
  });

  suite('who speaks', () => {
    rows([
      ['alice, not saying so', { clientId: 'alice' }, {}, 'alice'],
      ['alice, saying so', { clientId: 'alice' }, { clientId: 'alice' }, 'alice'],
      ['alice, as bob', { clientId: 'alice' }, { clientId: 'bob' }, '40012/400'],
      ['nobody', {}, {}, undefined],
      ['nobody, as bob', {}, { clientId: 'bob' }, '40012/400'],
      ['anybody, as bob', { clientId: '*' }, { clientId: 'bob' }, 'bob'],
      ['anybody, as nobody', { clientId: '*' }, {}, undefined],
      ['anybody who chose bob', { clientId: '*', claimed: 'bob' }, {}, 'bob'],
      ['anybody who chose bob, as alice', { clientId: '*', claimed: 'bob' }, { clientId: 'alice' }, '40012/400'],
    ], async (t, { clientId, claimed }, message, expected) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, clientId, ALL, KEY, claimed && { clientId: claimed });
      client.send(attach('room'));
      client.send(publish('room', 'x', message));
      client.send(presence('enter', 'room', message));
      await client.hears('ATTACHED room');
      if (expected?.endsWith('/400')) return client.hears(`NACK 0 ${expected}`, `NACK 1 ${expected}`);
      const { messages: [published] } = await client.hears('ACK 0', `MESSAGE room ${expected ? `${expected} ` : ''}x`);
      assert.equal(published.connectionId, client.details.connectionId);
      assert.ok(published.id.startsWith(published.connectionId));
      assert.equal(published.timestamp, NOW);
      if (expected) return client.hears('ACK 1', `PRESENCE room ${expected} enter`);
      return client.hears('NACK 1 91000/400');
    });
  });
});

suite('between connections', () => {
  test('messages go to who is attached, permitted, and asked for them', async (t) => {
    const ably = await start(t, { now: () => NOW });
    const [alice, bob, dave] = await Promise.all(['alice', 'bob', 'dave'].map((name) => connected(t, ably, name)));
    const carol = await connected(t, ably, 'carol', { room: ['publish'] });
    for (const [client, flags] of [[bob], [carol], [dave, MODE.PRESENCE]]) {
      client.send(attach('room', { flags }));
      await client.hears('ATTACHED room');
    }
    for (const message of [publish('room', 'x'), publish('hall', 'y')]) alice.send(message);
    await alice.hears('ACK 0', 'ACK 1');
    await bob.hears('MESSAGE room alice x');
    for (const client of [alice, bob, carol, dave]) await client.hearsNothing();
  });

  suite('members leave', () => {
    rows([
      ['by detaching', (client) => client.send(detach('room'))],
      ['by closing', (client) => client.send({ action: 7 })],
      ['by a token without the channel', (client) => client.send(auth(jwt(grant({ hall: ['*'] }, 'alice'))))],
      ['by a token that does not fit', (client) => client.send(auth(jwt(grant(ALL, 'bob'))))],
    ], async (t, leave) => {
      const ably = await start(t, { now: () => NOW });
      const [alice, bob] = [await connected(t, ably, 'alice'), await connected(t, ably, 'bob')];
      for (const client of [alice, bob]) {
        client.send(attach('room'));
        await client.hears('ATTACHED room');
      }
      alice.send(presence('enter', 'room'));
      await bob.hears('PRESENCE room alice enter');
      bob.send(presence('enter', 'room'));
      await bob.hears('ACK 0', 'PRESENCE room bob enter');
      leave(alice);
      await bob.hears('PRESENCE room alice leave');
      bob.send(attach('room'));
      await bob.hears('ATTACHED room', 'SYNC room bob present');
      await bob.hearsNothing();
    });
  });
});
