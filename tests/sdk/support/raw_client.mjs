import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import WebSocket from 'ws';
import { KEY } from './ably_keys.mjs';
import { ALL, grant, jwt } from './ably_signed.mjs';
import { LONG } from './time.mjs';

// What the realtime service says, in a line each: the action, then the channel, the serial, who and what, the error.
const ACTIONS = [
  'HEARTBEAT', 'ACK', 'NACK', 'CONNECT', 'CONNECTED', 'DISCONNECT', 'DISCONNECTED', 'CLOSE', 'CLOSED', 'ERROR',
  'ATTACH', 'ATTACHED', 'DETACH', 'DETACHED', 'PRESENCE', 'MESSAGE', 'SYNC', 'AUTH',
];
const PRESENCE = ['absent', 'present', 'enter', 'leave', 'update'];
export const MODE = { PRESENCE: 1 << 16, PUBLISH: 1 << 17, SUBSCRIBE: 1 << 18, PRESENCE_SUBSCRIBE: 1 << 19 };
export const FLAG = { HAS_PRESENCE: 1, RESUMED: 4, ...MODE };

export const attach = (channel, members) => ({ action: ACTIONS.indexOf('ATTACH'), channel, ...members });
export const detach = (channel) => ({ action: ACTIONS.indexOf('DETACH'), channel });
export const publish = (channel, data, members) =>
  ({ action: ACTIONS.indexOf('MESSAGE'), channel, messages: [{ data, ...members }] });
export const presence = (act, channel, members) =>
  ({ action: ACTIONS.indexOf('PRESENCE'), channel, presence: [{ action: PRESENCE.indexOf(act), ...members }] });
export const auth = (accessToken) => ({ action: ACTIONS.indexOf('AUTH'), auth: { accessToken } });

function line({ action, id, channel, msgSerial, messages = [], presence: members = [], error }) {
  const of = ({ clientId }) => (clientId ? [clientId] : []);
  return [
    ACTIONS[action], action === 0 ? id : undefined, channel, msgSerial,
    ...messages.flatMap((message) => [...of(message), message.data]),
    ...members.flatMap((member) => [...of(member), PRESENCE[member.action]]),
    error && `${error.code}/${error.statusCode}`,
  ].filter((part) => part !== undefined).join(' ');
}

/** A client without an SDK, which shows all that it is told. */
export class RawClient {
  #msgSerial = 0;

  static async connect(t, ably, query) {
    const client = new RawClient();
    client.socket = new WebSocket(`ws://127.0.0.1:${ably.port}/?${new URLSearchParams(query)}`);
    client.told = on(client.socket, 'message', { close: ['close'], signal: AbortSignal.timeout(LONG) });
    await once(client.socket, 'open');
    return client;
  }

  send(message) {
    const msgSerial = message.messages || message.presence ? { msgSerial: this.#msgSerial++ } : {};
    this.socket.send(JSON.stringify({ ...msgSerial, ...message }));
  }

  /** The next that it is told, 'closed' at the end; gives the last of them whole. */
  async hears(...lines) {
    let message;
    for (const expected of lines) {
      let heard;
      do {
        const { value, done } = await this.told.next().catch(() => assert.fail(`not heard: ${expected}`));
        message = done ? undefined : JSON.parse(value[0]);
        heard = done ? 'closed' : line(message);
      } while (heard === 'HEARTBEAT' && expected !== heard); // on a slow machine one comes in between
      assert.equal(heard, expected);
    }
    return message;
  }

  /** Nothing is under way to it: what it sends now comes back first. */
  async hearsNothing() {
    this.send({ action: 0, id: 'ping' });
    await this.hears('HEARTBEAT ping');
  }
}

/** A client of this name that has connected. */
export async function connected(t, ably, clientId, capability = ALL, key = KEY, query = {}) {
  const client = await RawClient.connect(t, ably, { access_token: jwt(grant(capability, clientId), key), ...query });
  client.details = await client.hears('CONNECTED');
  return client;
}
