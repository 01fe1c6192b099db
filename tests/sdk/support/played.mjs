// An Ably client and a service that are played, for accrue.js by itself. What it does with the real ones is in
// accrue_js_node.test.mjs and accrue_js_chromium.test.mjs.
import { setImmediate as soon } from 'node:timers/promises';
import { Accrue } from '../../../examples/browser/accrue.js';

export const URL_OF_AUTH = 'https://auth.example.com/auth';

/** accrue, as far as these tests need it: what is held is remembered, or travels in the header. */
export class Service {
  permitted = {}; // by resource; what is not listed is denied
  given = { inbox: ['subscribe'] };
  reason = 'denied';
  answers = []; // what comes next, in place of an answer of its own: a Response, an Error, or a function
  requests = [];
  held = Object.create(null);
  inFlight = 0;
  mostInFlight = 0;

  fetch = async (url, { method, headers, body, signal, credentials }) => {
    const request = { url, method, headers, credentials, ...(body && JSON.parse(body)) };
    this.requests.push(request);
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
    try {
      await soon();
      signal.throwIfAborted();
      const next = this.answers.shift();
      if (next instanceof Error) throw next;
      return (await (typeof next === 'function' ? next(request, signal) : next)) ?? this.answer(request);
    } finally {
      this.inFlight -= 1;
    }
  };

  answer({ method, headers, capability = {} }) {
    const grant = headers['accrue-grant'];
    if (method === 'DELETE') return new Response(null, { status: 204, headers: grant && { 'accrue-grant': 'none' } });
    const held = grant === undefined ? this.held : JSON.parse(grant === 'none' ? '{}' : grant);
    const refused = Object.create(null);
    for (const [resource, operations] of Object.entries(capability)) {
      const permitted = Object.hasOwn(this.permitted, resource) ? this.permitted[resource] : [];
      const isPermitted = (operation) => permitted.includes(operation);
      const yes = operations.filter(isPermitted);
      const no = operations.filter((operation) => !isPermitted(operation));
      if (yes.length) held[resource] = [...new Set([...(held[resource] ?? []), ...yes])];
      if (no.length) refused[resource] = no;
    }
    const reasons = Object.entries(refused).length ? ascii({ [this.reason]: refused }) : '';
    return token({ ...this.given, ...held }, {
      ...(reasons && { 'accrue-refused': reasons.length > 512 ? '{"truncated":true}' : reasons }),
      ...(grant && { 'accrue-grant': ascii(held) }),
    });
  }

  /** Keeps the next request waiting; gives what answers it, once it is there. */
  hold() {
    return new Promise((arrived) => {
      this.answers.unshift(() => new Promise((answer) => { arrived(answer); }));
    });
  }

  /** The wishes of each request. */
  get asked() {
    return this.requests.map(({ capability }) => capability);
  }
}

const hex = (unit) => unit.charCodeAt(0).toString(16).padStart(4, '0');
const ascii = (value) => JSON.stringify(value).replace(/[^ -~]/g, (unit) => `\\u${hex(unit)}`);
export const token = (capability, headers) =>
  Response.json({ keyName: 'app.key', capability: JSON.stringify(capability) }, { headers });
export const refusal = (code, status, headers) =>
  Response.json({ error: { code, statusCode: status, message: 'no' } }, { status, headers });

/** What the module uses of ably-js, which calls back on its own for `renew()`. */
export class Client {
  channels = {
    all: {},
    get: (name) => (this.channels.all[name] ??= { name, attached: 0, attach: () => this.#attach(name) }),
  };
  auth = { authorize: () => this.renew((this.authorized += 1)) };
  authorized = 0;
  attempts = 0; // to attach
  capability = {}; // of the token in effect
  connection = {
    state: 'connected',
    listeners: [],
    once: (...args) => this.connection.listeners.push({ event: args.length > 1 && args[0], listener: args.at(-1) }),
    off: (listener) => {
      const { connection } = this;
      connection.listeners = connection.listeners.filter((one) => one.listener !== listener);
    },
    becomes: (state) => {
      const { connection } = this;
      const called = connection.listeners.filter(({ event }) => !event || event === state);
      Object.assign(connection, { state, listeners: connection.listeners.filter((one) => !called.includes(one)) });
      for (const { listener } of called) listener({ current: state });
    },
  };

  constructor(accrue) {
    this.accrue = accrue;
  }

  renew() {
    return new Promise((resolve, reject) => {
      const params = this.params ? { ...this.params } : {};
      this.accrue.authCallback(params, (error, details) => {
        this.lastError = error;
        if (error) return reject(error);
        this.capability = JSON.parse(details.capability);
        return resolve(details);
      });
    });
  }

  async #attach(name) {
    this.attempts += 1;
    if (!Object.hasOwn(this.capability, name)) throw Object.assign(new Error('no'), { code: 40160 });
    this.channels.all[name].attached += 1;
  }
}

/** A client whose authCallback is that of an Accrue, and the service that it asks. */
export function start(options) {
  const service = new Service();
  const accrue = new Accrue(URL_OF_AUTH, { fetch: service.fetch, ...options });
  return { service, accrue, client: new Client(accrue) };
}
