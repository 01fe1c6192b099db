import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearer, world } from './support/world.mjs';
import { until } from './support/until.mjs';

test('first connect', async (t) => {
  const { accrue, backend, ably, realtime } = await world(t);
  backend.permitted['chat:1'] = ['subscribe', 'publish'];
  const client = realtime({ authUrl: `${accrue.url}/auth`, authHeaders: bearer('alice') });
  await client.connection.once('connected');
  const id = client.connection.id;
  await client.channels.get('inbox:alice').attach();
  await assert.rejects(client.channels.get('chat:1').attach(), { code: 40160 });
  await client.auth.authorize({ capability: { 'chat:1': ['subscribe', 'publish'] } });
  const ch = client.channels.get('chat:1');
  await ch.attach();
  const got = [];
  await ch.subscribe((m) => got.push(m.data));
  await ch.publish('x', 'hello');
  await until(() => got.length === 1);
  assert.equal(client.connection.id, id);
});
