import { randomBytes } from 'node:crypto';
import { AblyError, refuse } from './error.mjs';
import { allows } from './capability.mjs';

export const ACTION = {
  HEARTBEAT: 0, ACK: 1, NACK: 2, CONNECTED: 4, DISCONNECT: 5, DISCONNECTED: 6, CLOSE: 7, CLOSED: 8, ERROR: 9,
  ATTACH: 10, ATTACHED: 11, DETACH: 12, DETACHED: 13, PRESENCE: 14, MESSAGE: 15, SYNC: 16, AUTH: 17,
};
export const FLAG = {
  HAS_PRESENCE: 1 << 0, RESUMED: 1 << 2,
  PRESENCE: 1 << 16, PUBLISH: 1 << 17, SUBSCRIBE: 1 << 18, PRESENCE_SUBSCRIBE: 1 << 19,
};
export const PRESENCE_ACTION = { PRESENT: 1, ENTER: 2, LEAVE: 3, UPDATE: 4 };
/** The channel modes, each with the operation that it needs. A client that names none asks for all of them. */
const MODES = [
  [FLAG.PRESENCE, 'presence'], [FLAG.PUBLISH, 'publish'], [FLAG.SUBSCRIBE, 'subscribe'],
  [FLAG.PRESENCE_SUBSCRIBE, 'subscribe'],
];
const ALL_MODES = MODES.reduce((flags, [mode]) => flags | mode, 0);
const STATE_TTL = 120_000;
const HEARTBEAT = 5_000;

/**
 * One client's connection, which outlives its sockets by two minutes. What it may do is decided anew at each act, by
 * the token it has at that moment.
 */
export class Connection {
  id = randomBytes(8).toString('base64url');
  key = `${this.id}!${randomBytes(8).toString('base64url')}`;
  /** By name: `{modes, isAttached}`, the modes that were asked for, and whether the present socket has attached. */
  channels = new Map();
  #socket = null;
  #timers = [];
  #revokedAt = Infinity;
  #nextSerial = 0;

  /** `clientId`: as in `identify`. */
  constructor(service, clientId) {
    this.service = service;
    this.clientId = clientId;
  }

  /** Takes a socket, the first or another, with the token that it was opened with. */
  open(socket, details, error) {
    this.#release();
    this.#socket = socket;
    const heartbeat = setInterval(() => this.#send({ action: ACTION.HEARTBEAT }), HEARTBEAT).unref();
    socket.on('message', (text) => {
      if (socket === this.#socket) this.#receive(text);
    });
    socket.on('close', () => {
      clearInterval(heartbeat);
      if (socket === this.#socket) this.#lose();
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
    this.#lose();
  }

  end() {
    this.#release();
    this.service.forget(this);
    for (const channel of this.channels.keys()) this.service.leave(channel, this);
  }

  /** Something was published: it is passed on where the client is attached and may have it. */
  deliver({ message, mode }) {
    if (this.channels.get(message.channel)?.isAttached && this.#modes(message.channel) & mode) this.#send(message);
  }

  /** Something was revoked, perhaps the token in use. */
  checkToken() {
    if (this.#socket && this.service.tokens.revokedAt(this.details) !== this.#revokedAt) this.#watchToken();
  }

  /** Sees to it that another token is asked for in time, and to the end if none came. */
  #watchToken() {
    this.#stopTimers();
    const { tokens, promptBefore } = this.service;
    const { expires } = this.details;
    this.#revokedAt = tokens.revokedAt(this.details);
    this.#at(expires, () => this.disconnect(new AblyError(40142, 'Token expired')));
    this.#at(this.#revokedAt, () => this.disconnect(new AblyError(40141, 'Token revoked')));
    if (expires - promptBefore > tokens.now()) this.#at(expires - promptBefore, () => this.prompt());
    if (this.#revokedAt > tokens.now() && this.#revokedAt < Infinity) this.prompt();
  }

  #at(time, act) {
    const delay = time - this.service.tokens.now();
    if (delay < Infinity) this.#timers.push(this.service.after(delay, act));
  }

  #stopTimers() {
    for (const callOff of this.#timers.splice(0)) callOff();
  }

  /** The new token replaces the former: channels that it does not permit at all fail, the others stay. */
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
    this.#watchToken();
    for (const channel of this.channels.keys()) if (!this.#modes(channel)) this.#failChannel(channel);
  }

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text) ?? {};
      const { action, channel } = message;
      switch (action) {
        case ACTION.HEARTBEAT: return this.#send(message);
        case ACTION.DISCONNECT: return this.#lose();
        case ACTION.CLOSE: return this.#sayGoodbye();
        case ACTION.AUTH: return this.#reauthenticate(message.auth?.accessToken);
        case ACTION.ATTACH: return this.#attach(message);
        case ACTION.DETACH: return this.#detach(channel);
        case ACTION.MESSAGE: return this.#publish(message);
        case ACTION.PRESENCE: return this.#enter(message);
        default: return refuse(40000, `action ${action} is not played here`);
      }
    } catch (cause) {
      const error = AblyError.of(cause);
      const { msgSerial } = message ?? {};
      // what carries a serial is answered by it; an error that names no channel ends the connection
      if (msgSerial !== undefined) return this.#send({ action: ACTION.NACK, msgSerial, count: 1, error });
      this.#send({ action: ACTION.ERROR, error });
      return this.end();
    }
  }

  /** A new token for the same connection has to fit it. */
  #reauthenticate(token) {
    const details = this.service.tokens.read(token);
    if (identify(details, this.clientId) !== this.clientId) {
      refuse(40102, 'the token is for another clientId than the connection');
    }
    if (details.keyName !== this.details.keyName) {
      refuse(40102, 'the token is of another key than the connection');
    }
    this.#useToken(details);
  }

  #attach({ channel, flags = 0, channelSerial }) {
    const asked = flags & ALL_MODES || ALL_MODES;
    if (!/^[^:,\s]/.test(channel)) return this.#failChannel(channel, new AblyError(40010, 'no name for a channel'));
    if (!permitted(asked, channel, this.details)) return this.#failChannel(channel);
    const former = this.channels.get(channel);
    this.channels.set(channel, { modes: asked, isAttached: true });
    // a client that was attached goes on from the serial that it knows
    const resumed = former && channelSerial ? FLAG.RESUMED : 0;
    const from = resumed && !former.isAttached ? channelSerial : this.service.serial;
    const modes = this.#modes(channel);
    const members = modes & FLAG.PRESENCE_SUBSCRIBE ? this.service.members(channel) : [];
    const hasPresence = members.length ? FLAG.HAS_PRESENCE : 0;
    this.#send({ action: ACTION.ATTACHED, channel, channelSerial: from, flags: modes | resumed | hasPresence });
    if (hasPresence) {
      const presence = members.map((member) => ({ ...member, action: PRESENCE_ACTION.PRESENT }));
      // with nothing after the colon, the first part is the last, too
      this.#send({ action: ACTION.SYNC, channel, channelSerial: `${this.service.serial}:`, presence });
    }
    for (const published of this.service.since(from, channel)) this.deliver(published);
  }

  #detach(channel) {
    this.channels.delete(channel);
    this.service.leave(channel, this);
    this.#send({ action: ACTION.DETACHED, channel });
  }

  #publish({ channel, messages, msgSerial }) {
    this.#need('publish', FLAG.PUBLISH, channel);
    const stamped = this.#stamp(messages, msgSerial);
    if (!this.#acknowledge(msgSerial, [{ serials: stamped.map(({ id }) => id) }])) return;
    this.service.publish({ action: ACTION.MESSAGE, channel, messages: stamped }, FLAG.SUBSCRIBE);
  }

  #enter({ channel, presence, msgSerial }) {
    if (!this.channels.get(channel)?.isAttached) refuse(91001, 'presence needs an attached channel', 400);
    this.#need('presence', FLAG.PRESENCE, channel);
    const stamped = this.#stamp(presence, msgSerial);
    if (stamped.some(({ clientId }) => !clientId)) refuse(91000, 'presence needs a clientId', 400);
    if (!this.#acknowledge(msgSerial)) return;
    for (const member of stamped) this.service.enter(channel, member);
    this.service.publish({ action: ACTION.PRESENCE, channel, presence: stamped }, FLAG.PRESENCE_SUBSCRIBE);
  }

  /** Publishing needs no attachment: without one, no modes were asked for, and the capability alone decides. */
  #need(operation, mode, channel) {
    const asked = this.channels.get(channel)?.modes ?? ALL_MODES;
    if (!(asked & mode)) refuse(40165, `the mode for ${operation} was not asked for`);
    if (!allows(this.details.capability, channel, operation)) {
      refuse(40160, `the token does not permit ${operation} on ${channel}`);
    }
  }

  /** Messages carry who sent them. Only who may be anybody chooses; nobody else speaks for another. */
  #stamp(messages, msgSerial) {
    return messages.map((message, i) => {
      const clientId = this.clientId === '*' ? message.clientId : this.clientId;
      if (message.clientId && message.clientId !== clientId) refuse(40012, 'another clientId than the connection has');
      const { id: connectionId, service } = this;
      const id = `${connectionId}:${msgSerial}:${i}`;
      return { ...message, clientId, id, connectionId, timestamp: service.tokens.now() };
    });
  }

  /** Whether it is new: what a socket took along before its ACK arrived is sent again on the next. */
  #acknowledge(msgSerial, res) {
    this.#send({ action: ACTION.ACK, msgSerial, count: 1, res });
    if (msgSerial < this.#nextSerial) return false;
    this.#nextSerial = msgSerial + 1;
    return true;
  }

  #modes(channel) {
    return permitted(this.channels.get(channel).modes, channel, this.details);
  }

  #failChannel(channel, error = new AblyError(40160, `the token does not permit ${channel}`)) {
    this.channels.delete(channel);
    this.service.leave(channel, this);
    this.#send({ action: ACTION.ERROR, channel, error });
  }

  #sayGoodbye() {
    this.#send({ action: ACTION.CLOSED });
    this.end();
  }

  /** Without a socket: it may be resumed for some time. */
  #lose() {
    this.#release();
    this.#at(this.service.tokens.now() + STATE_TTL, () => this.end());
  }

  #release() {
    this.#stopTimers();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    for (const channel of this.channels.values()) channel.isAttached = false;
  }

  #send(message) {
    this.#socket?.send(JSON.stringify(message));
  }
}

/** Who a client is that has this token and says to be `claimedId`; `*` if it may be anybody and has not chosen. */
export function identify({ clientId }, claimedId) {
  return clientId === '*' ? claimedId ?? '*' : clientId;
}

function permitted(asked, channel, { capability }) {
  const modes = MODES.filter(([mode, operation]) => asked & mode && allows(capability, channel, operation));
  return modes.reduce((flags, [mode]) => flags | mode, 0);
}
