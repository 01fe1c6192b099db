// Lambda's Runtime API, as its documentation has it: one process asks it for events, and tells it the answers.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { listen } from '../../sdk/support/listen.mjs';

const PREFIX = '/2018-06-01/runtime';
const TIMEOUT = 30_000;

export class RuntimeApi {
  /** Events that nobody has asked for yet, requests for events that have come early, and events in flight, by id. */
  #events = [];
  #polls = [];
  #inFlight = new Map();

  #begin;
  /** Becomes true with the first request for an event, and the error with one at start. */
  started = new Promise((resolve) => { this.#begin = resolve; });

  static async start(t) {
    const api = new RuntimeApi();
    const server = createServer((request, response) => api.#serve(request, response));
    server.keepAliveTimeout = 0;
    api.address = `127.0.0.1:${await listen(t, server)}`;
    return api;
  }

  /** How many wait for an event. */
  get polls() {
    return this.#polls.length;
  }

  /** Has an event answered: `{answer}` or `{error}`. `timeout` is the function's. */
  invoke(event, timeout = TIMEOUT) {
    const text = typeof event === 'string' ? event : JSON.stringify(event);
    return new Promise((resolve) => {
      this.#events.push({ id: randomUUID(), text, timeout, resolve });
      this.#hand();
    });
  }

  #hand() {
    while (this.#events.length && this.#polls.length) {
      const { id, text, timeout, resolve } = this.#events.shift();
      this.#inFlight.set(id, resolve);
      this.#polls.shift().writeHead(200, {
        'content-type': 'application/json',
        'lambda-runtime-aws-request-id': id,
        'lambda-runtime-deadline-ms': String(Date.now() + timeout),
        'lambda-runtime-invoked-function-arn': 'arn:aws:lambda:eu-west-1:123456789012:function:accrue',
        'lambda-runtime-trace-id': 'Root=1-67b1f2c3-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0',
      }).end(text);
    }
  }

  async #serve(request, response) {
    const body = Buffer.concat(await request.toArray()).toString();
    const route = `${request.method} ${request.url.replace(PREFIX, '')}`;
    const [, id, kind] = /^POST \/invocation\/([^/]+)\/(response|error)$/.exec(route) ?? [];
    if (route === 'GET /invocation/next') {
      response.on('close', () => { this.#polls = this.#polls.filter((poll) => poll !== response); });
      this.#polls.push(response);
      this.#begin(true);
      this.#hand();
    } else if (route === 'POST /init/error') {
      response.writeHead(202).end();
      this.#begin({ type: request.headers['lambda-runtime-function-error-type'], ...JSON.parse(body) });
    } else if (this.#inFlight.has(id)) {
      response.writeHead(202).end();
      this.#inFlight.get(id)({ [kind === 'error' ? 'error' : 'answer']: JSON.parse(body) });
      this.#inFlight.delete(id);
    } else {
      response.writeHead(404).end();
    }
  }
}
