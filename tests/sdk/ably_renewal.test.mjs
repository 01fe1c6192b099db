// The stand-in for Ably by a raw WebSocket: a connection's token is replaced, runs out, or is revoked.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { KEY, NARROW, REVOCABLE, STRANGER } from './support/ably_keys.mjs';
import { revokeTokens } from './support/ably_rest.mjs';
import { ALL, grant, jwt } from './support/ably_signed.mjs';
import { RawClient, attach, auth, connected, publish } from './support/raw_client.mjs';
import { rows } from './support/rows.mjs';
import { start } from './support/stand_in.mjs';
import { MINUTE, NOW, SECOND, Time } from './support/time.mjs';

suite('another token for the same connection', () => {
  const iat = NOW / 1000;
  const [any, alice] = [{ 'x-ably-clientId': '*' }, { 'x-ably-clientId': 'alice' }];
  rows([
    ['of the same client', jwt(alice), jwt({ ...alice, exp: iat + 60 }), 'CONNECTED'],
    ['of nobody again', jwt(), jwt(), 'CONNECTED'],
    ['of anybody again', jwt(any), jwt(any), 'CONNECTED'],
    ['of another client', jwt(alice), jwt({ 'x-ably-clientId': 'bob' }), 'ERROR 40102/401'],
    ['of nobody', jwt(alice), jwt(), 'ERROR 40102/401'],
    ['of one where there was none', jwt(), jwt(alice), 'ERROR 40102/401'],
    ['of anybody where there was none', jwt(), jwt(any), 'ERROR 40102/401'],
    ['of one where there was anybody', jwt(any), jwt(alice), 'ERROR 40102/401'],
    ['of another key', jwt(alice), jwt(alice, NARROW), 'ERROR 40102/401'],
    ['of another app', jwt(alice), jwt(alice, STRANGER), 'ERROR 40102/401'],
    ['expired', jwt(alice), jwt({ ...alice, iat: iat - 60, exp: iat }), 'ERROR 40142/401'],
    ['revoked', jwt(alice, REVOCABLE), jwt({ ...alice, iat: iat - 60, exp: iat + 60 }, REVOCABLE), 'ERROR 40141/401'],
    ['that there is not', jwt(alice), 'app.unknown', 'ERROR 40143/401'],
    ['missing', jwt(alice), undefined, 'ERROR 40101/401'],
    ['that permits nothing', jwt(alice, NARROW), jwt(grant({ hall: ['*'] }, 'alice'), NARROW), 'ERROR 40160/401'],
  ], async (t, first, second, expected) => {
    const ably = await start(t, { now: () => NOW });
    await revokeTokens(ably, { targets: ['clientId:alice'], issuedBefore: NOW - SECOND });
    const client = await RawClient.connect(t, ably, { access_token: first });
    const { connectionId } = await client.hears('CONNECTED');
    client.send(auth(second));
    const answer = await client.hears(expected);
    if (expected === 'CONNECTED') {
      assert.equal(answer.connectionId, connectionId);
      await client.hearsNothing();
    } else {
      await client.hears('closed');
      assert.equal(ably.connections.size, 0);
    }
  });

  suite('its capability replaces the former', () => {
    const both = { room: ['subscribe', 'publish'], hall: ['subscribe'] };
    const [ROOM, HALL] = ['ERROR room 40160/401', 'ERROR hall 40160/401'];
    const [PUBLISHED, REFUSED] = [['ACK 0', 'MESSAGE room alice x'], ['NACK 0 40160/401']];
    rows([
      ['the same', both, [], PUBLISHED, 'room,hall'],
      ['another channel less', { room: both.room }, [HALL], PUBLISHED, 'room'],
      ['the channel less', { hall: both.hall }, [ROOM], REFUSED, 'hall'],
      ['both less', { other: ['*'] }, [ROOM, HALL], REFUSED, ''],
      ['only publish lost', { ...both, room: ['subscribe'] }, [], REFUSED, 'room,hall'],
      ['only subscribe lost', { ...both, room: ['publish'] }, [], ['ACK 0'], 'room,hall'],
      ['what is left is no mode', { ...both, room: ['history'] }, [ROOM], REFUSED, 'hall'],
    ], async (t, capability, failed, published, left) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice', both);
      client.send(attach('room'));
      client.send(attach('hall'));
      client.send(auth(jwt(grant(capability, 'alice'))));
      client.send(publish('room', 'x'));
      const { connectionId } = await client.hears('ATTACHED room', 'ATTACHED hall', 'CONNECTED');
      assert.equal(connectionId, client.details.connectionId);
      await client.hears(...failed, ...published);
      await client.hearsNothing();
      assert.equal([...ably.of('alice')[0].channels.keys()].join(), left);
    });

    test('a channel that failed may be attached to again, when it is permitted again', async (t) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice', both);
      client.send(attach('room'));
      client.send(auth(jwt(grant({ hall: both.hall }, 'alice'))));
      client.send(attach('room'));
      client.send(auth(jwt(grant(both, 'alice'))));
      client.send(attach('room'));
      await client.hears('ATTACHED room', 'CONNECTED', ROOM, ROOM, 'CONNECTED', 'ATTACHED room');
    });

    test('a right gained is good at once where it was asked for before', async (t) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice', { room: ['subscribe'] });
      client.send(attach('room'));
      client.send(publish('room', 'x'));
      client.send(auth(jwt(grant({ room: ['*'] }, 'alice'))));
      client.send(publish('room', 'y'));
      await client.hears('ATTACHED room', 'NACK 0 40160/401', 'CONNECTED', 'ACK 1', 'MESSAGE room alice y');
    });
  });
});

suite('time', () => {
  const short = (clientId, lifetime, key) => {
    const exp = (NOW + lifetime) / 1000;
    return { access_token: jwt({ 'x-ably-clientId': clientId, exp }, key) };
  };

  test('an expired token disconnects, and another resumes', async (t) => {
    const time = new Time();
    const ably = await start(t, time);
    const client = await RawClient.connect(t, ably, short('alice', 10 * SECOND));
    const { connectionId, connectionDetails } = await client.hears('CONNECTED');
    time.pass(10 * SECOND - 1);
    await client.hearsNothing();
    time.pass(1);
    await client.hears('DISCONNECTED 40142/401', 'closed');

    const query = { resume: connectionDetails.connectionKey, access_token: jwt({ 'x-ably-clientId': 'alice' }) };
    const again = await RawClient.connect(t, ably, query);
    assert.equal((await again.hears('CONNECTED')).connectionId, connectionId);
    await again.hearsNothing();
  });

  test('an expired token that was renewed in time disconnects nobody', async (t) => {
    const time = new Time();
    const ably = await start(t, time);
    const client = await RawClient.connect(t, ably, short('alice', 10 * SECOND));
    client.send(auth(jwt({ 'x-ably-clientId': 'alice' })));
    await client.hears('CONNECTED', 'CONNECTED');
    time.pass(10 * SECOND);
    await client.hearsNothing();
  });

  test('no timer is left when all has stopped', async (t) => {
    const time = new Time();
    const ably = await start(t, time);
    const clients = await Promise.all(['alice', 'bob'].map((name) => connected(t, ably, name)));
    ably.of('alice')[0].drop();
    await clients[0].hears('closed');
    assert.ok(time.isWaitedFor);
    await ably.stop();
    assert.ok(!time.isWaitedFor);
    await clients[1].hears('closed');
  });

  suite('prompts before the end', () => {
    rows([
      ['half a minute before', {}, MINUTE, 30 * SECOND],
      ['as long before as was said', { promptBefore: SECOND }, MINUTE, 59 * SECOND],
    ], async (t, options, lifetime, when) => {
      const time = new Time();
      const ably = await start(t, { ...time, ...options });
      const client = await RawClient.connect(t, ably, short('alice', lifetime));
      await client.hears('CONNECTED');
      time.pass(when - 1);
      await client.hearsNothing();
      time.pass(1);
      await client.hears('AUTH');
      time.pass(lifetime - when);
      await client.hears('DISCONNECTED 40142/401', 'closed');
    });

    test('not of tokens that live shorter', async (t) => {
      const time = new Time();
      const ably = await start(t, time);
      const client = await RawClient.connect(t, ably, short('alice', 30 * SECOND));
      await client.hears('CONNECTED');
      time.pass(30 * SECOND);
      await client.hears('DISCONNECTED 40142/401', 'closed');
    });

    test('when a test says so', async (t) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice');
      ably.of('alice')[0].prompt();
      await client.hears('AUTH');
      await client.hearsNothing();
    });
  });

  suite('revoking', () => {
    const revoke = async (ably, time, clientId, members) => {
      time.pass(1); // what is issued at that very moment is not issued before it
      assert.equal((await revokeTokens(ably, { targets: [`clientId:${clientId}`], ...members })).status, 201);
    };
    const renewed = (clientId) => auth(jwt({ 'x-ably-clientId': clientId, iat: NOW / 1000 + 1 }, REVOCABLE));

    test('at once: without a prompt, the client and nobody else', async (t) => {
      const time = new Time();
      const ably = await start(t, time);
      const alice = await connected(t, ably, 'alice', ALL, REVOCABLE);
      const others = [await connected(t, ably, 'bob', ALL, REVOCABLE), await connected(t, ably, 'alice', ALL, KEY)];
      await revoke(ably, time, 'alice');
      time.pass(0);
      await alice.hears('DISCONNECTED 40141/401', 'closed');
      for (const other of others) await other.hearsNothing();
    });

    rows([
      ['with the margin of Ably', {}, 30 * SECOND],
      ['with another margin', { margin: SECOND }, SECOND],
    ], async (t, options, margin) => {
      const time = new Time();
      const ably = await start(t, { ...time, ...options });
      const idle = await connected(t, ably, 'alice', ALL, REVOCABLE);
      const active = await connected(t, ably, 'alice', ALL, REVOCABLE);
      const other = await connected(t, ably, 'bob', ALL, REVOCABLE);
      await revoke(ably, time, 'alice', { allowReauthMargin: true });
      await idle.hears('AUTH');
      active.send(renewed('alice'));
      await active.hears('AUTH', 'CONNECTED');
      time.pass(margin - 1);
      await idle.hearsNothing();
      time.pass(1);
      await idle.hears('DISCONNECTED 40141/401', 'closed');
      for (const client of [active, other]) await client.hearsNothing();
    });

    test('one prompt for each revocation, and one for each socket', async (t) => {
      const time = new Time();
      const ably = await start(t, time);
      const client = await connected(t, ably, 'alice', ALL, REVOCABLE);
      await revoke(ably, time, 'alice', { allowReauthMargin: true });
      await revoke(ably, time, 'bob', { allowReauthMargin: true });
      await client.hears('AUTH');
      await client.hearsNothing();
      const resume = client.details.connectionDetails.connectionKey;
      const again = await connected(t, ably, 'alice', ALL, REVOCABLE, { resume });
      await again.hears('AUTH');
      await again.hearsNothing();
    });

    test('a renewed token can be revoked, too', async (t) => {
      const time = new Time();
      const ably = await start(t, time);
      const client = await connected(t, ably, 'alice', ALL, REVOCABLE);
      await revoke(ably, time, 'alice', { allowReauthMargin: true });
      client.send(renewed('alice'));
      await client.hears('AUTH', 'CONNECTED');
      time.pass(SECOND);
      await revoke(ably, time, 'alice');
      time.pass(0);
      await client.hears('DISCONNECTED 40141/401', 'closed');
    });
  });
});
