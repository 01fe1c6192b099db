// Unmodified ably-js against the stand-in for Ably.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import SDK from 'ably';
import { REVOCABLE } from './support/ably_keys.mjs';
import { revokeTokens } from './support/ably_rest.mjs';
import { ALL, NONCE, tokenRequest } from './support/ably_signed.mjs';
import { start } from './support/stand_in.mjs';
import { LONG } from './support/time.mjs';
import { until } from './support/until.mjs';
import { sdkOptions } from './support/world.mjs';

suite('an unmodified SDK', { timeout: LONG }, () => {
  /** ably-js with a callback that signs token requests, as a server does for its clients. */
  function realtime(t, ably, clientId, capability = ALL) {
    let count = 0;
    const client = new SDK.Realtime({
      ...sdkOptions(ably.port),
      authCallback: (params, done) => {
        count += 1;
        const asked = params.capability ?? JSON.stringify(capability);
        const members = { clientId, capability: asked, timestamp: Date.now(), nonce: `${NONCE}${clientId}${count}` };
        done(null, tokenRequest(members, REVOCABLE));
      },
    });
    t.after(() => client.close());
    return client;
  }

  test('connects, attaches, publishes, and hears what it missed while the network was away', async (t) => {
    const ably = await start(t);
    const [alice, bob] = [realtime(t, ably, 'alice'), realtime(t, ably, 'bob')];
    const heard = [];
    await alice.channels.get('room').subscribe(({ clientId, data }) => heard.push(`${clientId} ${data}`));
    const { id } = alice.connection;
    await bob.channels.get('room').publish('name', 'first');
    await until(() => heard.length === 1);
    ably.of('alice')[0].drop();
    await alice.connection.once('disconnected');
    await bob.channels.get('room').publish('name', 'meanwhile');
    await bob.channels.get('room').publish('name', 'last');
    await until(() => heard.length === 3);
    assert.deepEqual(heard, ['bob first', 'bob meanwhile', 'bob last']);
    assert.equal(alice.connection.id, id);
    assert.equal(alice.channels.get('room').state, 'attached');
  });

  test('is present, and gone', async (t) => {
    const ably = await start(t);
    const [alice, bob, carol] = ['alice', 'bob', 'carol'].map((name) => realtime(t, ably, name));
    const who = async () => {
      const members = await bob.channels.get('room').presence.get();
      return members.map(({ clientId }) => clientId).sort().join();
    };
    await alice.channels.get('room').presence.enter();
    await carol.channels.get('room').presence.enter();
    assert.equal(await who(), 'alice,carol');
    await alice.channels.get('room').presence.leave();
    await until(async () => await who() === 'carol');
    await alice.channels.get('room').presence.enter();
    await until(async () => await who() === 'alice,carol');
    await alice.channels.get('room').detach();
    carol.close();
    await until(async () => await who() === '');
  });

  test('sends again what was not acknowledged, and it is published once', async (t) => {
    const ably = await start(t);
    const [alice, bob] = [realtime(t, ably, 'alice'), realtime(t, ably, 'bob')];
    const heard = [];
    await bob.channels.get('room').subscribe(({ data }) => heard.push(data));
    await alice.channels.get('room').attach();
    const published = alice.channels.get('room').publish('name', 'once');
    ably.of('alice')[0].drop();
    await published;
    await alice.channels.get('room').publish('name', 'then');
    await until(() => heard.includes('then'));
    assert.deepEqual(heard, ['once', 'then']);
  });

  test('takes one more channel on the same connection, after 40160', async (t) => {
    const ably = await start(t);
    const client = realtime(t, ably, 'alice', { room: ['subscribe'] });
    await client.channels.get('room').attach();
    const { id } = client.connection;
    await assert.rejects(client.channels.get('hall').attach(), { code: 40160, statusCode: 401 });
    await assert.rejects(client.channels.get('room').publish('name', 'x'), { code: 40160, statusCode: 401 });
    await client.auth.authorize({ capability: { hall: ['*'], room: ['subscribe'] } });
    await client.channels.get('hall').attach();
    assert.equal(client.channels.get('room').state, 'attached');
    await client.auth.authorize({ capability: { hall: ['*'] } });
    await client.channels.get('room').whenState('failed');
    assert.equal(client.channels.get('room').errorReason.code, 40160);
    assert.equal(client.connection.id, id);
  });

  test('renews when prompted and when its token is revoked', async (t) => {
    const ably = await start(t);
    const client = realtime(t, ably, 'alice');
    await client.connection.once('connected');
    const { id } = client.connection;
    const first = client.auth.tokenDetails.token;
    ably.of('alice')[0].prompt();
    await client.connection.once('update');
    const second = client.auth.tokenDetails.token;
    await revokeTokens(ably, { targets: ['clientId:alice'] });
    const { reason } = await client.connection.once('disconnected');
    await client.connection.once('connected');
    assert.equal(reason.code, 40141);
    assert.equal(client.connection.id, id);
    assert.equal(new Set([first, second, client.auth.tokenDetails.token]).size, 3);
  });
});
