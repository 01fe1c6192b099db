// The application's backend: it answers the permission webhook, as a test says.
import { createServer } from 'node:http';
import { listen } from './listen.mjs';

export class Backend {
  /** What clients may do, by Ably's names: a list of operations, or nothing. A test may set and delete. */
  permitted = {};
  /** Clients that are barred. */
  barred = new Set();
  /** While true, questions are not answered. */
  isDown = false;
  /** What each answer waits for. A test may set it. */
  ready = async () => {};
  /** All that was asked. */
  questions = [];

  static async start(t) {
    const backend = new Backend();
    const server = createServer(async (request, response) => {
      const question = JSON.parse(Buffer.concat(await request.toArray()));
      backend.questions.push(question);
      if (backend.isDown) return request.socket.destroy();
      await backend.ready();
      const answer = JSON.stringify(backend.answer(question));
      return response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
    });
    backend.url = `http://127.0.0.1:${await listen(t, server)}/ably/permissions`;
    return backend;
  }

  answer({ clientId, asked }) {
    if (this.barred.has(clientId)) return { barred: true };
    const isPermitted = (resource) => (operation) => this.permitted[resource]?.includes(operation);
    const entries = Object.entries(asked ?? this.permitted);
    const granted = entries.map(([resource, operations]) => [resource, operations.filter(isPermitted(resource))]);
    return { granted: Object.fromEntries(granted.filter(([, operations]) => operations.length)) };
  }
}
