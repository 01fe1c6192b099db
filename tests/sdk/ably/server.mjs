// A stand-in for Ably: requestToken, revokeTokens and the realtime service, so far as unmodified SDKs need them, on
// loopback. After Ably's documentation and its SDKs' specification; where those are silent it refuses.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { WebSocketServer } from 'ws';
import { AblyError, refuse } from './error.mjs';
import { Tokens, appOf } from './tokens.mjs';
import { ACTION, Connection, FLAG, PRESENCE_ACTION, identify } from './connection.mjs';

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST',
  'access-control-allow-headers': 'authorization, content-type, x-ably-version, ably-agent',
  'access-control-expose-headers': 'x-ably-errorcode, x-ably-errormessage',
};

export class Ably {
  /** Connections that are open, or can be resumed. */
  connections = new Set();
  /** What was asked of the REST half: `{path, status}`. */
  requests = [];
  /** All that was published, by serial. */
  #published = [];
  #members = new Map();

  /**
   * Listens on a free port. `keys`, `margin` and `now`: see `Tokens`. `promptBefore`: how long before its token expires
   * a connection is asked for a new one; tokens that live shorter are not asked for. `after`: acts after so many ms,
   * and gives back what calls that off.
   */
  static async start({ promptBefore = 30_000, after = unattended, ...options }) {
    const ably = new Ably();
    Object.assign(ably, { promptBefore, after });
    ably.tokens = new Tokens(options);
    ably.server = createServer((request, response) => ably.#rest(request, response));
    ably.sockets = new WebSocketServer({ server: ably.server });
    ably.sockets.on('connection', (socket, { url }) => ably.#connect(socket, url));
    ably.server.listen(0, '127.0.0.1');
    await once(ably.server, 'listening');
    return ably;
  }

  get port() {
    return this.server.address().port;
  }

  /** The connections of a clientId. */
  of(clientId) {
    return [...this.connections].filter((connection) => connection.clientId === clientId);
  }

  /** Ends all there is, and waits until it has ended. */
  async stop() {
    for (const connection of this.connections) connection.end();
    for (const socket of this.sockets.clients) socket.terminate();
    this.server.closeAllConnections();
    for (const one of [this.sockets, this.server]) one.close();
    await Promise.all([this.sockets, this.server].map((one) => once(one, 'close')));
  }

  // What connections ask of the service.

  forget(connection) {
    this.connections.delete(connection);
  }

  get serial() {
    return String(this.#published.length);
  }

  publish(message, mode) {
    const published = { message: { ...message, channelSerial: String(this.#published.length + 1) }, mode };
    this.#published.push(published);
    for (const connection of this.connections) connection.deliver(published);
  }

  /** What was published on a channel after this serial. */
  since(serial, channel) {
    return this.#published.slice(Number(serial)).filter(({ message }) => message.channel === channel);
  }

  enter(channel, member) {
    const key = JSON.stringify([channel, member.connectionId, member.clientId]);
    if (member.action === PRESENCE_ACTION.LEAVE) this.#members.delete(key);
    else this.#members.set(key, { channel, member });
  }

  members(channel) {
    return [...this.#members.values()].filter((one) => one.channel === channel).map(({ member }) => member);
  }

  /** A connection is gone from a channel, and so are its members. */
  leave(channel, { id }) {
    for (const member of this.members(channel).filter(({ connectionId }) => connectionId === id)) {
      // without an id: this is no message of the client's, and SDKs that took it for one would drop it as an old one
      const left = { ...member, action: PRESENCE_ACTION.LEAVE, id: undefined, timestamp: this.tokens.now() };
      this.enter(channel, left);
      this.publish({ action: ACTION.PRESENCE, channel, presence: [left] }, FLAG.PRESENCE_SUBSCRIBE);
    }
  }

  #connect(socket, url) {
    socket.on('error', () => {});           // a frame that is none; the socket is closed
    try {
      const query = new URL(url, 'ws://ably').searchParams;
      if (query.get('format') === 'msgpack') refuse(40000, 'only JSON is spoken here: useBinaryProtocol: false');
      const details = this.tokens.read(query.get('access_token') ?? query.get('accessToken'));
      const claimedId = query.get('clientId') ?? undefined;
      const clientId = identify(details, claimedId);
      if (claimedId && !clientId) refuse(40101, 'the token has no clientId, the client claims one');
      if (claimedId && clientId !== claimedId) refuse(40102, 'the client claims another clientId than the token has');
      const former = this.#resumable(query.get('resume'), clientId, details);
      const connection = former ?? new Connection(this, clientId);
      const isLost = query.has('resume') && !former;
      this.connections.add(connection);
      connection.open(socket, details, isLost ? new AblyError(80008, 'unable to recover connection', 400) : undefined);
    } catch (cause) {
      const error = AblyError.of(cause);
      socket.send(JSON.stringify({ action: ACTION.ERROR, error }));
      socket.close();
    }
  }

  /** The connection of this key, if it is the same client of the same app that comes back. */
  #resumable(key, clientId, { keyName }) {
    return this.of(clientId).find((one) => one.key === key && appOf(one.details.keyName) === appOf(keyName));
  }

  async #rest(request, response) {
    const [pathname] = request.url.split('?');
    const answer = (status, body, headers) => {
      this.requests.push({ path: pathname, status });
      response.writeHead(status, { ...CORS, ...headers, 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.method === 'OPTIONS') return response.writeHead(204, CORS).end();
    try {
      const [, keyName, act] = /^\/keys\/([^/]+)\/(\w+)$/.exec(pathname) ?? [];
      const { authorization } = request.headers;
      if (request.method === 'POST' && act === 'requestToken') {
        return answer(201, this.tokens.exchange(decodeURIComponent(keyName), await json(request)));
      }
      if (request.method === 'POST' && act === 'revokeTokens') {
        const result = this.tokens.revoke(decodeURIComponent(keyName), authorization, await json(request));
        for (const connection of this.connections) connection.checkToken();
        // before version 3 of the protocol, the bare list
        return answer(201, Number(request.headers['x-ably-version']) >= 3 ? result : result.results);
      }
      return refuse(40400, `${request.method} ${pathname} is not played here`);
    } catch (cause) {
      const error = AblyError.of(cause);
      // browser SDKs read the body only if a header speaks of an error; a header is ASCII
      const message = error.message.replace(/[^ -~]/g, '?');
      return answer(error.statusCode, { error }, { 'x-ably-errorcode': error.code, 'x-ably-errormessage': message });
    }
  }
}

/** A timer that keeps no process alive. */
function unattended(delay, act) {
  const timer = setTimeout(act, delay).unref();
  return () => clearTimeout(timer);
}

async function json(request) {
  try {
    return JSON.parse(Buffer.concat(await request.toArray()));
  } catch {
    return refuse(40001, 'the body is not JSON');
  }
}
