// A stand-in for Ably: requestToken, revokeTokens and the realtime service, so far as unmodified SDKs need them, on
// loopback. After Ably's documentation and its SDKs' specification; where those are silent it refuses.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { WebSocketServer } from 'ws';
import { AblyError, refuse } from './error.mjs';
import { Tokens } from './tokens.mjs';
import { ACTION, Connection, PRESENCE_ACTION, PRESENCE_SUBSCRIBE, fits, sameClient } from './connection.mjs';

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST',
  'access-control-allow-headers': 'authorization, content-type, x-ably-version, ably-agent',
};

export class Ably {
  /** Connections that are open, or can be resumed. */
  connections = new Set();
  /** What was asked of the REST half: `{path, status}`. */
  requests = [];
  #present = new Map();
  #serial = 0;

  /**
   * Listens on a free port. `keys` and `margin`: see `Tokens`. `promptBefore`: how long before its token expires a
   * connection is asked for a new one; tokens that live shorter are not asked for.
   */
  static async start({ promptBefore = 30_000, ...options }) {
    const ably = new Ably();
    ably.promptBefore = promptBefore;
    ably.tokens = new Tokens(options);
    ably.server = createServer((request, response) => ably.#rest(request, response));
    const sockets = new WebSocketServer({ server: ably.server });
    sockets.on('connection', (socket, request) => ably.#connect(socket, new URL(request.url, 'ws://ably').searchParams));
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

  stop() {
    for (const connection of this.connections) connection.end();
    this.server.closeAllConnections();
    this.server.close();
  }

  // What connections ask of the service.

  forget(connection) {
    this.connections.delete(connection);
  }

  publish(message, mode) {
    for (const connection of this.connections) connection.deliver({ ...message, channelSerial: this.serial() }, mode);
  }

  enter(channel, member, leaves) {
    const members = this.#present.get(channel) ?? new Map();
    this.#present.set(channel, members);
    const key = `${member.connectionId}:${member.clientId}`;
    if (leaves) members.delete(key);
    else members.set(key, member);
  }

  leave(channel, { id }) {
    const members = this.#present.get(channel) ?? new Map();
    for (const [key, member] of members) {
      if (member.connectionId !== id) continue;
      members.delete(key);
      const presence = [{ ...member, action: PRESENCE_ACTION.LEAVE }];
      this.publish({ action: ACTION.PRESENCE, channel, presence }, PRESENCE_SUBSCRIBE);
    }
  }

  present(channel) {
    return [...(this.#present.get(channel)?.values() ?? [])];
  }

  serial() {
    this.#serial += 1;
    return String(this.#serial);
  }

  #connect(socket, query) {
    try {
      if (query.get('format') === 'msgpack') refuse(40000, 'only JSON is spoken here: useBinaryProtocol: false');
      const details = this.tokens.read(query.get('access_token') ?? query.get('accessToken'));
      const claimedId = query.get('clientId') ?? undefined;
      fits(details, claimedId);
      const key = query.get('resume');
      const former = key && [...this.connections].find((connection) => connection.key === key && sameClient(connection.details, details));
      const connection = former || new Connection(this, details, claimedId);
      this.connections.add(connection);
      connection.open(socket, details, key && !former ? new AblyError(80008, 'unable to recover connection', 400) : undefined);
    } catch (error) {
      if (!(error instanceof AblyError)) throw error;
      socket.send(JSON.stringify({ action: ACTION.ERROR, error }));
      socket.close();
    }
  }

  async #rest(request, response) {
    const { pathname } = new URL(request.url, 'http://ably');
    const answer = (status, body) => {
      this.requests.push({ path: pathname, status });
      response.writeHead(status, { ...CORS, 'content-type': 'application/json' }).end(JSON.stringify(body));
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
    } catch (error) {
      if (!(error instanceof AblyError)) throw error;
      return answer(error.statusCode, { error });
    }
  }
}

async function json(request) {
  try {
    return JSON.parse(Buffer.concat(await request.toArray()));
  } catch {
    return refuse(40001, 'the body is not JSON');
  }
}
