// Clients that are the unmodified ably-python, each a process of its own. The variable PYTHON may name an interpreter
// that has it; otherwise it is looked for in .venv.
import { spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Process } from './process.mjs';
import { block } from './readme.mjs';
import { until } from './until.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PYTHON = [process.env.PYTHON, here('../.venv/bin/python')]
  .find((python) => python && spawnSync(python, ['-c', 'import ably']).status === 0);

const AUTH_CALLBACK = block('python', 'async def auth_callback');

/** Why there can be no such clients here; false if there can. */
export const noPython = !PYTHON && 'there is no ably-python: python3 -m venv tests/sdk/.venv && '
  + 'tests/sdk/.venv/bin/pip install --require-hashes -r tests/sdk/requirements.txt';

export class Python {
  /** The events of its connection, in order: `{event, id, error}`, `id` being the connection's. */
  connection = [];
  /** What its auth_callback was answered: `{status, refused}`. */
  answers = [];
  /** The data of the messages that it received. */
  messages = [];
  #done = new Map();
  #asked = 0;

  /** Starts one; `options` are ably-python's own. With `callback`, `{url, session}`, it has README's auth_callback. */
  constructor({ t, ably }, { callback, ...options }) {
    const code = callback && AUTH_CALLBACK.replace('https://auth.example.com/auth', callback.url);
    const settings = [{ ...sdkOptions(ably.port), ...options }, callback && { code, session: callback.session }];
    const args = settings.filter(Boolean).map((one) => JSON.stringify(one));
    this.process = new Process(t, PYTHON, [here('client.py'), ...args]);
    this.process.child.stdin.on('error', () => {}); // it ended; who waits for an answer is told
    createInterface({ input: this.process.child.stdout }).on('line', (line) => this.#heard(JSON.parse(line)));
  }

  attach = (channel) => this.#ask('attach', channel);
  subscribe = (channel) => this.#ask('subscribe', channel);
  publish = (channel, data) => this.#ask('publish', channel, data);
  authorize = (params) => this.#ask('authorize', params);
  requestToken = (params) => this.#ask('request_token', params);
  /** By authUrl: what says who is calling, from now on. */
  signIn = (headers) => this.#ask('sign_in', headers);
  state = () => this.#ask('state');
  close = () => this.#ask('close');

  /** Waits for an event of its connection; gives the first, or the first after the `since` first events. */
  event(name, since = 0) {
    return until(() => this.connection.slice(since).find(({ event }) => event === name) ?? this.#alive(),
      () => `${name} in ${JSON.stringify(this.connection)}`);
  }

  async #ask(what, ...args) {
    this.#asked += 1;
    const number = this.#asked;
    this.process.child.stdin.write(`${JSON.stringify([number, what, args])}\n`);
    const { result, error } = await until(() => this.#done.get(number) ?? this.#alive(), () => `${what} ${args}`);
    if (error) throw Object.assign(new Error(error.message), error);
    return result;
  }

  #heard({ done, result, error, connection, answer, message }) {
    if (done) this.#done.set(done, { result, error });
    if (connection) this.connection.push(connection);
    if (answer) this.answers.push(answer);
    if (message) this.messages.push(message);
  }

  #alive() {
    if (this.process.isOver) throw new Error(`ably-python ended: ${this.process.stderr}`);
  }
}

/**
 * What makes ably-python talk to the stand-in, and nothing else. Its `port` counts for REST only: the address of the
 * WebSocket is made of the endpoint alone. So the port is part of the endpoint, and a slash ends it, which turns the
 * port that REST appends into a path, and that is replaced by the path of the request.
 */
const sdkOptions = (port) => ({
  endpoint: `127.0.0.1:${port}/`,
  tls: false,
  use_binary_protocol: false,
  disconnected_retry_timeout: 300,
});
