// The application that is asked: for permissions, and for who is calling.
import { createServer } from 'node:http';
import { listen } from '../../sdk/support/listen.mjs';

export class Backend {
  /** What it answers; `undefined` is no answer at all. */
  reply = undefined;
  /** What it was asked since the last look. */
  #calls = [];

  static async start(t) {
    const backend = new Backend();
    const server = createServer(async (request, response) => {
      const { method, url, headers } = request;
      const body = Buffer.concat(await request.toArray()).toString();
      backend.#calls.push({ method, url, headers, body });
      const { reply } = backend;
      if (url === '/elsewhere') response.end(REDIRECTED);
      else if (reply) response.writeHead(reply.status, reply.headers).end(reply.body);
    });
    backend.url = `http://127.0.0.1:${await listen(t, server)}`;
    return backend;
  }

  calls() {
    return this.#calls.splice(0);
  }
}

/** What the application says, as the `backend` of a request in the table. */
export const says = (json) => replies(200, JSON.stringify(json), { 'content-type': 'application/json' });
export const replies = (status, body = '', headers = {}) => ({ status, body, headers });
export const hangs = 'hangs';

const REDIRECTED = JSON.stringify({ clientId: 'alice', granted: { '*': ['*'] } });
