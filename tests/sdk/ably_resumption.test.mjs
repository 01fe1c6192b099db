// The stand-in for Ably by a raw WebSocket: who may resume a connection, for how long, and what was missed.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { KEY, REVOCABLE, STRANGER } from './support/ably_keys.mjs';
import { revokeTokens } from './support/ably_rest.mjs';
import { ALL, grant, jwt } from './support/ably_signed.mjs';
import { FLAG, RawClient, attach, auth, connected, presence, publish } from './support/raw_client.mjs';
import { rows } from './support/rows.mjs';
import { start } from './support/stand_in.mjs';
import { MINUTE, NOW, Time } from './support/time.mjs';

suite('resuming', () => {
  /** Alice attaches to two channels and loses her socket; then bob publishes. */
  async function missed(t, ably) {
    const [alice, bob] = [await connected(t, ably, 'alice'), await connected(t, ably, 'bob')];
    for (const message of [attach('hall'), attach('room'), presence('enter', 'room')]) alice.send(message);
    await alice.hears('ATTACHED hall', 'ATTACHED room', 'ACK 0');
    const { channelSerial } = await alice.hears('PRESENCE room alice enter');
    ably.of('alice')[0].drop();
    await alice.hears('closed');
    bob.send(publish('room', 'meanwhile'));
    await bob.hears('ACK 0');
    return { alice, bob, channelSerial, resume: alice.details.connectionDetails.connectionKey };
  }

  rows([
    ['the same client', { 'x-ably-clientId': 'alice' }, KEY, true],
    ['the same client by another key of the app', { 'x-ably-clientId': 'alice' }, REVOCABLE, true],
    ['another client', { 'x-ably-clientId': 'carol' }, KEY, false],
    ['nobody', {}, KEY, false],
    ['anybody', { 'x-ably-clientId': '*' }, KEY, false],
    ['the same clientId in another app', { 'x-ably-clientId': 'alice' }, STRANGER, false],
    ['the same client with another connectionKey', { 'x-ably-clientId': 'alice' }, KEY, false, 'guessed'],
  ], async (t, claims, key, resumes, guessed) => {
    const ably = await start(t, { now: () => NOW });
    const { alice, bob, channelSerial, resume } = await missed(t, ably);
    const client = await RawClient.connect(t, ably, { access_token: jwt(claims, key), resume: guessed ?? resume });
    const { connectionId } = await client.hears(resumes ? 'CONNECTED' : 'CONNECTED 80008/400');
    assert.equal(connectionId === alice.details.connectionId, resumes);
    await client.hearsNothing();
    client.send(attach('room', { channelSerial }));
    const { flags } = await client.hears('ATTACHED room');
    assert.equal(Boolean(flags & FLAG.RESUMED), resumes);
    await client.hears('SYNC room alice present');
    if (resumes) await client.hears('MESSAGE room bob meanwhile');
    await client.hearsNothing();
    bob.send(publish('room', 'after'));
    await client.hears('MESSAGE room bob after');
  });

  test('only a channel that goes on from a serial hears what was missed', async (t) => {
    const ably = await start(t, { now: () => NOW });
    const { resume } = await missed(t, ably);
    const client = await connected(t, ably, 'alice', ALL, KEY, { resume });
    client.send(attach('room'));
    const { flags } = await client.hears('ATTACHED room');
    assert.equal(flags & FLAG.RESUMED, 0);
    await client.hears('SYNC room alice present');
    await client.hearsNothing();
  });

  test('nothing is heard twice', async (t) => {
    const ably = await start(t, { now: () => NOW });
    const { bob, channelSerial, resume } = await missed(t, ably);
    bob.send(publish('hall', 'there'));
    await bob.hears('ACK 1');
    const client = await connected(t, ably, 'alice', ALL, KEY, { resume });
    client.send(attach('hall', { channelSerial }));
    await client.hears('ATTACHED hall', 'MESSAGE hall bob there');
    client.send(attach('room', { channelSerial }));
    await client.hears('ATTACHED room', 'SYNC room alice present', 'MESSAGE room bob meanwhile');
    client.send(attach('room', { channelSerial }));
    await client.hears('ATTACHED room', 'SYNC room alice present');
    await client.hearsNothing();
  });

  test('what a new token does not permit is not made up for', async (t) => {
    const ably = await start(t, { now: () => NOW });
    const { channelSerial, resume } = await missed(t, ably);
    const client = await connected(t, ably, 'alice', { hall: ['*'] }, KEY, { resume });
    client.send(attach('room', { channelSerial }));
    await client.hears('ERROR room 40160/401', 'ERROR room 40160/401');
    await client.hearsNothing();
  });

  test('a second socket takes the place of the first', async (t) => {
    const ably = await start(t, { now: () => NOW });
    const first = await connected(t, ably, 'alice');
    first.send(attach('room'));
    await first.hears('ATTACHED room');
    const resume = first.details.connectionDetails.connectionKey;
    first.socket.pause(); // it does not know yet
    const second = await connected(t, ably, 'alice', ALL, KEY, { resume });
    first.send(publish('room', 'x'));
    first.socket.resume();
    await first.hears('closed');
    await second.hearsNothing();
    second.send(publish('room', 'y'));
    await second.hears('ACK 0');
    await second.hearsNothing();
    assert.equal(ably.connections.size, 1);
  });

  suite('what can be resumed', () => {
    rows([
      ['a dropped connection', (client, connection) => connection.drop(), ['closed'], true],
      ['one that the client left', (client) => client.send({ action: 5 }), ['closed'], true],
      ['one that was disconnected', (client, connection) => connection.disconnect({ code: 80003, statusCode: 400 }), [
        'DISCONNECTED 80003/400', 'closed',
      ], true],
      ['not one that was closed', (client) => client.send({ action: 7 }), ['CLOSED', 'closed'], false],
      ['not one that failed', (client) => client.send(auth('app.unknown')), ['ERROR 40143/401', 'closed'], false],
    ], async (t, act, told, can) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice');
      const { connectionId, connectionDetails: { connectionKey } } = client.details;
      act(client, ably.of('alice')[0]);
      await client.hears(...told);
      const again = await RawClient.connect(t, ably, { access_token: jwt(grant(ALL, 'alice')), resume: connectionKey });
      const details = await again.hears(can ? 'CONNECTED' : 'CONNECTED 80008/400');
      assert.equal(details.connectionId === connectionId, can);
    });
  });

  rows([
    ['for two minutes', () => {}],
    ['for two minutes, whatever is revoked meanwhile', async (ably) => {
      await revokeTokens(ably, { targets: ['clientId:alice'] });
    }],
  ], async (t, meanwhile) => {
    const time = new Time();
    const ably = await start(t, time);
    const bob = await connected(t, ably, 'bob');
    bob.send(attach('room'));
    const alice = await connected(t, ably, 'alice', ALL, REVOCABLE);
    for (const message of [attach('room'), presence('enter', 'room')]) alice.send(message);
    await bob.hears('ATTACHED room', 'PRESENCE room alice enter');
    ably.of('alice')[0].drop();
    await once(alice.socket, 'close');
    time.pass(1);
    await meanwhile(ably);
    time.pass(2 * MINUTE - 2);
    await bob.hearsNothing();
    time.pass(1);
    await bob.hears('PRESENCE room alice leave');
    assert.deepEqual(ably.of('alice'), []);
  });
});
