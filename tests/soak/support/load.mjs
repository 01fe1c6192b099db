// Has the clients come by one after the other, as fast as they are answered or at a pace.
import { Agent, request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** So many clients are waited for at once. */
const AT_ONCE = 32;
/** For an answer; nothing takes as long. */
const PATIENCE = 60_000;
const TENTHS = 100_000;

export class Load {
  answers = 0;
  byStatus = new Map();
  #tenths = new Uint32Array(TENTHS + 1); // answers by how long they took, in tenths of a millisecond
  #agent = new Agent({ keepAlive: true, maxSockets: 4 * AT_ONCE });
  #due = 0;
  #interval = 0;
  #place = 0;
  #busy = new Set();
  #isOver = false;
  #workers;

  constructor({ url, clients }) {
    Object.assign(this, { url: new URL(url), clients });
    this.#workers = Array.from({ length: AT_ONCE }, () => this.#work());
  }

  /** So many requests a second from now on. */
  pace(rate) {
    this.#interval = 1000 / rate;
    this.#due = performance.now();
    this.#tenths.fill(0);
  }

  /** How many rounds through all the clients are complete. */
  get rounds() {
    return Math.floor(this.#place / this.clients.length);
  }

  /** Milliseconds that this part of the answers took at most. */
  percentile(part) {
    const total = this.#tenths.reduce((sum, number) => sum + number, 0);
    let seen = 0;
    return this.#tenths.findIndex((number) => (seen += number) >= part * total) / 10;
  }

  /** Waits for the answers that are still to come. */
  async end() {
    this.#isOver = true;
    await Promise.all(this.#workers);
    this.#agent.destroy();
  }

  async #work() {
    while (!this.#isOver) {
      const client = this.#next();
      const requests = client.next();
      await this.#turn(requests.length);
      const exchanges = [];
      await Promise.all(requests.map(async (request) => exchanges.push([request, await this.#ask(request)])));
      client.answered(exchanges);
      this.#busy.delete(client);
    }
  }

  /** The one that has been away for longest; what one of them does, it does alone. */
  #next() {
    let client;
    do client = this.clients[this.#place++ % this.clients.length]; while (this.#busy.has(client));
    this.#busy.add(client);
    return client;
  }

  async #turn(number) {
    const wait = this.#due - performance.now();
    // what could not be sent in time is not made up for
    this.#due = Math.max(this.#due, performance.now() - 1000) + number * this.#interval;
    if (this.#interval && wait > 0) await sleep(wait);
  }

  async #ask(request) {
    const started = performance.now();
    const answer = await this.#exchange(request)
      .catch(({ code, message }) => ({ status: code ?? 'none', headers: {}, body: message }));
    this.#tenths[Math.min(TENTHS, Math.floor((performance.now() - started) * 10))] += 1;
    this.answers += 1;
    this.byStatus.set(answer.status, (this.byStatus.get(answer.status) ?? 0) + 1);
    return answer;
  }

  #exchange({ method, path, headers, body }) {
    const { hostname, port } = this.url;
    const options = { host: hostname, port, method, path, headers, agent: this.#agent, timeout: PATIENCE };
    if (body !== undefined) headers['content-length'] = Buffer.byteLength(body);
    return new Promise((resolve, reject) => {
      const sent = httpRequest(options, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part) => { text += part; });
        response.on('error', reject).on('end', () => {
          resolve({ status: response.statusCode, headers: response.headers, body: text });
        });
      });
      sent.on('error', reject).on('timeout', () => sent.destroy(new Error('no answer'))).end(body);
    });
  }
}
