import { randomBytes } from 'node:crypto';
import { AblyError, refuse } from './error.mjs';
import { allows } from './capability.mjs';
import { appOf } from './tokens.mjs';

export const ACTION = {
  HEARTBEAT: 0, ACK: 1, NACK: 2, CONNECTED: 4, DISCONNECTED: 6, CLOSE: 7, CLOSED: 8, ERROR: 9, ATTACH: 10, ATTACHED: 11,
  DETACH: 12, DETACHED: 13, PRESENCE: 14, MESSAGE: 15, SYNC: 16, AUTH: 17,
};
const FLAG = { HAS_PRESENCE: 1 << 0, RESUMED: 1 << 2 };
/** What each channel mode needs; a client that names none asks for these. */
const MODES = [
  { flag: 1 << 16, operation: 'presence' },
  { flag: 1 << 17, operation: 'publish' },
  { flag: 1 << 18, operation: 'subscribe' },
  { flag: 1 << 19, operation: 'subscribe' },
];
const DEFAULT_MODES = MODES.reduce((flags, mode) => flags | mode.flag, 0);
const [PRESENCE, PUBLISH, SUBSCRIBE] = MODES.map((mode) => mode.flag);
export const PRESENCE_SUBSCRIBE = MODES[3].flag;
export const PRESENCE_ACTION = { PRESENT: 1, LEAVE: 3 };
const STATE_TTL = 120_000;
const HEARTBEAT = 5_000;

/**
 * One client's connection, which outlives its sockets: for two minutes without one, what it misses is kept. What it may
 * do is decided anew at each act, by the token it has at that moment.
 */
export class Connection {
  id = randomBytes(8).toString('base64url');
  key = `${this.id}!${randomBytes(8).toString('base64url')}`;
  /** By name: the modes that were asked for, whether this socket has attached, and what was missed until it has. */
  channels = new Map();
  #socket = null;
  #timers = new Set();

  constructor(service, details, claimedId) {
    this.service = service;
    this.details = details;
    this.clientId = details.clientId === '*' ? claimedId : details.clientId;
  }

  /** Takes a socket: a new one of this client's, with the token that it was opened with. */
  open(socket, details, error) {
    this.#close();
    this.#socket = socket;
    for (const channel of this.channels.values()) channel.isAttached = false;
    const heartbeat = setInterval(() => this.#send({ action: ACTION.HEARTBEAT }), HEARTBEAT);
    socket.on('message', (text) => {
      if (socket === this.#socket) this.#receive(JSON.parse(text));
    });
    socket.on('close', () => {
      clearInterval(heartbeat);
      if (socket === this.#socket) this.#lost();
    });
    this.#useToken(details, error);
  }

  /** Asks for a new token, as Ably does before one expires and after a revocation with allowReauthMargin. */
  prompt() {
    this.#send({ action: ACTION.AUTH });
  }

  /** A break of the network: the socket goes, without a word. */
  drop() {
    this.#socket?.terminate();
  }

  /** Disconnected for this reason: a token that expired or was revoked. The client may come back and resume. */
  disconnect(error) {
    this.#send({ action: ACTION.DISCONNECTED, error });
    this.#close();
    this.#lost();
  }

  end() {
    this.#stopTimers();
    this.#close();
    this.service.forget(this);
    for (const channel of this.channels.keys()) this.service.leave(channel, this);
  }

  deliver(message, mode) {
    const channel = this.channels.get(message.channel);
    if (!channel || !(this.#modes(message.channel) & mode)) return;
    if (channel.isAttached) this.#send(message);
    else channel.missed.push(message);
  }

  /** Looks at the token again: it may have been revoked. */
  checkToken() {
    this.#stopTimers();
    const now = this.service.tokens.now();
    const revokedAt = this.service.tokens.revokedAt(this.details);
    const { expires } = this.details;
    this.#at(expires - now, () => this.disconnect(new AblyError(40142, 'Token expired')));
    this.#at(revokedAt - now, () => this.disconnect(new AblyError(40141, 'Token revoked')));
    const promptIn = expires - now - this.service.promptBefore;
    if (promptIn > 0) this.#at(promptIn, () => this.prompt());
    if (revokedAt > now && revokedAt < Infinity) this.prompt();
  }

  #at(delay, act) {
    if (delay < 2 ** 31) this.#timers.add(setTimeout(act, delay));
  }

  #stopTimers() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #useToken(details, error) {
    this.details = details;
    this.#send({
      action: ACTION.CONNECTED,
      connectionId: this.id,
      error,
      connectionDetails: {
        clientId: this.clientId, connectionKey: this.key, connectionStateTtl: STATE_TTL, maxIdleInterval: 3 * HEARTBEAT,
        maxMessageSize: 65536, maxFrameSize: 262144, maxInboundRate: 1000, serverId: 'stand-in',
      },
    });
    this.checkToken();
    for (const channel of this.channels.keys()) {
      if (!this.#modes(channel)) this.#failChannel(channel);
    }
  }

  #receive(message) {
    const { action, channel, msgSerial } = message;
    try {
      switch (action) {
        case ACTION.HEARTBEAT: return this.#send(message);
        case ACTION.CLOSE: return this.#sayGoodbye();
        case ACTION.AUTH: return this.#reauthenticate(message.auth?.accessToken);
        case ACTION.ATTACH: return this.#attach(channel, message.flags ?? 0);
        case ACTION.DETACH: return this.#detach(channel);
        case ACTION.MESSAGE: return this.#publish(message);
        case ACTION.PRESENCE: return this.#enter(message);
        default: throw new AblyError(40000, `action ${action} is not played here`);
      }
    } catch (error) {
      if (!(error instanceof AblyError)) throw error;
      // what carries a serial is answered by it; an error that names no channel ends the connection
      if (msgSerial !== undefined) return this.#send({ action: ACTION.NACK, msgSerial, count: 1, error });
      this.#send({ action: ACTION.ERROR, error });
      return this.end();
    }
  }

  /** A new token for the same connection: it has to fit, and its capability replaces the former. */
  #reauthenticate(token) {
    const details = this.service.tokens.read(token);
    const { keyName, clientId } = this.details;
    if (details.clientId !== clientId) refuse(40102, 'the token is for another clientId than the connection');
    if (details.keyName !== keyName) refuse(40102, 'the token is of another key than the connection');
    this.#useToken(details);
  }

  #attach(channel, flags) {
    const asked = flags & DEFAULT_MODES || DEFAULT_MODES;
    if (!permitted(asked, channel, this.details)) return this.#failChannel(channel);
    const missed = this.channels.get(channel)?.missed.splice(0);
    const resumed = missed ? FLAG.RESUMED : 0;
    this.channels.set(channel, { modes: asked, isAttached: true, missed: [] });
    const present = this.service.present(channel);
    const modes = this.#modes(channel);
    const hasPresence = present.length && modes & PRESENCE_SUBSCRIBE ? FLAG.HAS_PRESENCE : 0;
    this.#send({ action: ACTION.ATTACHED, channel, channelSerial: this.service.serial(), flags: modes | resumed | hasPresence });
    if (hasPresence) {
      const presence = present.map((member) => ({ ...member, action: PRESENCE_ACTION.PRESENT }));
      this.#send({ action: ACTION.SYNC, channel, channelSerial: `${this.service.serial()}:`, presence });
    }
    for (const message of missed ?? []) this.#send(message);
  }

  #detach(channel) {
    this.channels.delete(channel);
    this.service.leave(channel, this);
    this.#send({ action: ACTION.DETACHED, channel });
  }

  #publish({ channel, messages, msgSerial }) {
    this.#need('publish', PUBLISH, channel);
    const stamped = this.#stamp(messages, msgSerial);
    this.#send({ action: ACTION.ACK, msgSerial, count: 1, res: [{ serials: stamped.map(({ id }) => id) }] });
    this.service.publish({ action: ACTION.MESSAGE, channel, messages: stamped }, SUBSCRIBE);
  }

  #enter({ channel, presence, msgSerial }) {
    this.#need('presence', PRESENCE, channel);
    const stamped = this.#stamp(presence, msgSerial);
    if (stamped.some(({ clientId }) => !clientId)) refuse(91000, 'presence needs a clientId', 400);
    this.#send({ action: ACTION.ACK, msgSerial, count: 1 });
    for (const member of stamped) this.service.enter(channel, member, member.action === PRESENCE_ACTION.LEAVE);
    this.service.publish({ action: ACTION.PRESENCE, channel, presence: stamped }, PRESENCE_SUBSCRIBE);
  }

  #need(operation, mode, channel) {
    const asked = this.channels.get(channel)?.modes ?? DEFAULT_MODES;
    if (!(asked & mode)) refuse(40165, `the mode for ${operation} was not asked for`);
    if (!allows(this.details.capability, channel, operation)) {
      refuse(40160, `the token does not permit ${operation} on ${channel}`);
    }
  }

  /** Messages carry who sent them; nobody speaks for another. */
  #stamp(messages, msgSerial) {
    return messages.map((message, i) => {
      if (this.clientId && message.clientId && message.clientId !== this.clientId) refuse(40012, 'another clientId');
      const { clientId, id, service } = this;
      return { clientId, ...message, id: `${id}:${msgSerial}:${i}`, connectionId: id, timestamp: service.tokens.now() };
    });
  }

  #modes(channel) {
    return permitted(this.channels.get(channel)?.modes ?? 0, channel, this.details);
  }

  #failChannel(channel) {
    this.channels.delete(channel);
    this.service.leave(channel, this);
    const error = new AblyError(40160, `the token does not permit ${channel}`);
    this.#send({ action: ACTION.ERROR, channel, error });
  }

  #sayGoodbye() {
    this.#send({ action: ACTION.CLOSED });
    this.end();
  }

  #lost() {
    this.#stopTimers();
    this.#socket = null;
    for (const channel of this.channels.values()) channel.isAttached = false;
    this.#at(STATE_TTL, () => this.end());
  }

  #close() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #send(message) {
    this.#socket?.send(JSON.stringify(message));
  }
}

/** Whether a token may open, or take over, a connection of this app for whoever the client says to be. */
export function fits(details, claimedId) {
  if (claimedId && details.clientId === undefined) refuse(40101, 'the token has no clientId, the client claims one');
  if (claimedId && details.clientId !== '*' && details.clientId !== claimedId) {
    refuse(40102, 'the client claims another clientId than that of the token');
  }
}

export const sameClient = (a, b) => appOf(a.keyName) === appOf(b.keyName) && a.clientId === b.clientId;

function permitted(modes, channel, { capability }) {
  return MODES.reduce((flags, { flag, operation }) => (modes & flag && allows(capability, channel, operation) ? flags | flag : flags), 0);
}
