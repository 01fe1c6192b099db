// examples/browser/accrue.js by itself, with an Ably client and a service that are played. What it does with the real
// ones is in accrue_js_node.test.mjs and accrue_js_chromium.test.mjs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setImmediate as soon } from 'node:timers/promises';
import { Accrue, Denied, Full, Refused, Unavailable } from '../../examples/browser/accrue.js';
import { until } from './support/until.mjs';

const URL_OF_AUTH = 'https://auth.example.com/auth';

/** accrue, as far as these tests need it: what is held is remembered, or travels in the header. */
class Service {
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
const token = (capability, headers) =>
  Response.json({ keyName: 'app.key', capability: JSON.stringify(capability) }, { headers });
const refusal = (code, status, headers) =>
  Response.json({ error: { code, statusCode: status, message: 'no' } }, { status, headers });

/** What the module uses of ably-js, which calls back on its own for `renew()`. */
class Client {
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

function start(options) {
  const service = new Service();
  const accrue = new Accrue(URL_OF_AUTH, { fetch: service.fetch, ...options });
  return { service, accrue, client: new Client(accrue) };
}

/** Makes time limits a hundred times shorter. */
function hurry(t) {
  t.mock.method(AbortSignal, 'timeout', (ms) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new DOMException('too late', 'TimeoutError')), ms / 100);
    return controller.signal;
  });
}

const untilAborted = (signal) => new Promise((_, reject) => {
  signal.addEventListener('abort', () => reject(signal.reason));
});

test('a channel is asked for once, and not again while the token has it', async () => {
  const { service, accrue, client } = start();
  service.permitted = { 'chat:1': ['subscribe', 'publish'] };
  const channel = await accrue.attach(client, 'chat:1', ['subscribe', 'publish']);
  assert.equal(channel.attached, 1);
  await accrue.attach(client, 'chat:1', ['publish']);
  await client.renew();
  await accrue.attach(client, 'chat:1');
  assert.deepEqual(service.asked, [{ 'chat:1': ['subscribe', 'publish'] }, undefined]);
});

test('a right that is missing on an attached channel is asked for', async () => {
  const { service, accrue, client } = start();
  service.permitted = { 'chat:1': ['subscribe', 'publish'] };
  await accrue.attach(client, 'chat:1');
  await accrue.attach(client, 'chat:1', ['publish']);
  assert.deepEqual(service.asked, [{ 'chat:1': ['subscribe'] }, { 'chat:1': ['publish'] }]);
});

test('what is denied is an error, and never asked for again', async () => {
  const { service, accrue, client } = start();
  service.permitted = { 'chat:1': ['subscribe'] };
  await assert.rejects(accrue.attach(client, 'chat:1', ['subscribe', 'publish']), (error) => {
    assert.ok(error instanceof Denied && error instanceof Refused && !(error instanceof Unavailable));
    const { name, code, statusCode, refused } = error;
    assert.deepEqual([name, code, statusCode, refused], ['Denied', 40160, 401, { 'chat:1': ['publish'] }]);
    assert.equal(error.message, 'denied: {"chat:1":["publish"]}');
    return true;
  });
  await client.renew();
  assert.deepEqual(service.asked, [{ 'chat:1': ['subscribe', 'publish'] }, undefined]);
});

test('a 401 that refuses all is a denial, whether or not it says so', async () => {
  for (const headers of [{ 'accrue-refused': '{"denied":{"chat:1":["subscribe"]}}' }, {}]) {
    const { service, accrue, client } = start();
    service.answers = [refusal(40160, 401, headers)];
    await assert.rejects(accrue.attach(client, 'chat:1'), { name: 'Denied' });
    assert.equal(client.lastError.code, 40160);
    await client.renew();
    assert.deepEqual(service.asked[1], undefined);
  }
});

test('each reason has its error', async () => {
  const cases = [
    ['{"denied":{"a":["subscribe"]}}', Denied],
    ['{"full":{"a":["subscribe"]}}', Full],
    ['{"unavailable":{"a":["subscribe"]}}', Unavailable],
    ['{"full":{"a":["*"]}}', Full],
    ['{"unavailable":{"a":["subscribe"]},"full":{"b":["subscribe"]}}', Full],
    ['{"unavailable":{"a":["subscribe"]},"full":{"b":["subscribe"]},"denied":{"c":["subscribe"]}}', Denied],
    ['{"full":{"of the application":["subscribe"]}}', Denied],
    ['{"truncated":true}', Refused],
    [undefined, Denied], // strategy `server` reads no wishes
  ];
  for (const [header, Kind] of cases) {
    const { service, accrue, client } = start();
    service.answers = [token({ inbox: ['subscribe'] }, header && { 'accrue-refused': header })];
    const wishes = ['a', 'b', 'c'].filter((name) => name === 'a' || header?.includes(`"${name}"`));
    const capability = Object.fromEntries(wishes.map((name) => [name, ['subscribe']]));
    await assert.rejects(accrue.ask(client, capability), (error) => {
      assert.equal(error.constructor, Kind, header);
      return true;
    });
    assert.equal(service.requests.length, 1);
  }
});

test('what is unavailable goes along until it is answered', async () => {
  const { service, accrue, client } = start();
  service.reason = 'unavailable';
  await assert.rejects(accrue.attach(client, 'chat:1'), { name: 'Unavailable' });
  await client.renew();
  await assert.rejects(accrue.attach(client, 'chat:2'), { name: 'Unavailable' });
  assert.deepEqual(service.asked[2], { 'chat:1': ['subscribe'], 'chat:2': ['subscribe'] });
  service.reason = 'denied';
  service.permitted = { 'chat:2': ['subscribe'] };
  await client.renew();
  await accrue.attach(client, 'chat:2');
  await client.renew();
  assert.deepEqual(service.asked.slice(3), [{ 'chat:1': ['subscribe'], 'chat:2': ['subscribe'] }, undefined]);
});

test('an outage is unavailable too: the wish stays, and what the client hears lets it go on', async () => {
  const outages = [
    [new TypeError('fetch failed'), 40170],
    [refusal(50003, 503), 50003],
    [new Response('<h1>Bad gateway</h1>', { status: 502 }), 50200],
    [refusal(42900, 429), 42900],
    [refusal(40800, 408), 40800],
  ];
  for (const [outage, code] of outages) {
    const { service, accrue, client } = start();
    service.permitted = { 'chat:1': ['subscribe'] };
    service.answers = [outage];
    await assert.rejects(accrue.attach(client, 'chat:1'), (error) => {
      assert.ok(error instanceof Unavailable);
      assert.equal(error.cause.code, code);
      assert.match(String(error.cause), /^accrue: /);
      return true;
    });
    assert.notEqual(client.lastError.statusCode, 403);
    await client.renew();
    await accrue.attach(client, 'chat:1');
    assert.equal(service.requests.length, 2);
  }
});

test('an outage does not stand in the way of what the token has', async () => {
  const { service, accrue, client } = start();
  await client.renew();
  service.answers = [new TypeError('fetch failed'), new TypeError('fetch failed')];
  await assert.rejects(client.renew());
  const refused = accrue.attach(client, 'a');
  await Promise.all([accrue.attach(client, 'inbox'), assert.rejects(refused, Unavailable)]);
  await accrue.attach(client, 'inbox');
  assert.equal(service.requests.length, 3);
});

test('what is about the client is passed on, and the wish is dropped', async () => {
  const answers = [
    [refusal(40100, 401), { code: 40100, statusCode: 401 }],
    [refusal(40300, 403), { code: 40300, statusCode: 403 }],
    [new Response('', { status: 403 }), { code: 40300, statusCode: 403 }],
    [new Response('<h1>Not found</h1>', { status: 404 }), { code: 40400, statusCode: 404 }],
    [refusal(40000, 400), { code: 40000, statusCode: 400 }],
    [new Response('<h1>Sign in</h1>'), { code: 40170, statusCode: 401 }],
    [Response.json({ error: 'no' }, { status: 401 }), { code: 40100, statusCode: 401 }],
    [Response.json(null), { code: 40170, statusCode: 401 }],
    [new Response(null, { status: 204 }), { code: 40170, statusCode: 401 }],
  ];
  for (const [answer, expected] of answers) {
    const { service, accrue, client } = start();
    service.answers = [answer];
    await assert.rejects(accrue.attach(client, 'chat:1'), expected);
    await client.renew();
    assert.deepEqual(service.asked, [{ 'chat:1': ['subscribe'] }, undefined]);
  }
});

test('coverage', async () => {
  const cases = [
    ['foo:*', 'foo:1', true], ['foo:*', 'foo:1:2', true], ['foo:*', 'foo::x', true], ['foo:*', 'foo:*', true],
    ['foo:*', 'foo', false], ['foo:*', 'foobar', false], ['foo:*', '[meta]foo:1', false],
    ['[*]foo:*', '[meta]foo:1', true], ['[*]foo:*', 'foo:1', true], ['[meta]*', '[meta]log', true],
    ['[meta]*', 'log', false], ['*', 'r::$chat', true], ['*', '[queue]q', false], ['[*]*', '[*]*', true],
    ['*', '[*]*', false], ['a:*:c', 'a:b:c', true], ['a:*:c', 'a::c', false], ['a:*:c', 'a:b:b:c', false],
    ['a:*:*', 'a:*', false], ['a:*', 'a:*:*', true], ['*:c', 'a:c', true], ['*:c', 'a:b:c', false], ['*', '*:c', true],
    ['a', 'A', false], ['a*', 'ab', false],
  ];
  const { cases: ablys } = JSON.parse(readFileSync(new URL('../data/capability-match.json', import.meta.url)));
  const rows = [
    ...cases.map(([pattern, name, allowed]) => {
      const [capability, wishes] = [pattern, name].map((resource) => ({ [resource]: ['subscribe'] }));
      return { capability, wishes, allowed };
    }),
    // where Ably's pages are silent, accrue takes the narrower reading
    ...ablys.filter(({ id }) => id !== 'cap-023')
      .map(({ channel, operation, ...row }) => ({ ...row, wishes: { [channel]: [operation] } })),
    { capability: { 'a:*': ['stats'], 'a:1': ['publish'] }, wishes: { 'a:1': ['publish', 'stats'] }, allowed: true },
    { capability: { 'chat:1': ['*'] }, wishes: { 'chat:1': ['publish', 'subscribe'] }, allowed: true },
    { capability: { 'chat:1': ['publish', 'subscribe'] }, wishes: { 'chat:1': ['*'] }, allowed: false },
    { capability: { 'a:1': ['subscribe'], 'a:2': ['subscribe'] }, wishes: { 'a:*': ['subscribe'] }, allowed: false },
  ];
  for (const { capability, wishes, allowed } of rows) {
    const { service, accrue, client } = start();
    service.answers = [token(capability)];
    const outcome = await accrue.ask(client, wishes).then(() => true, (error) => error instanceof Denied && false);
    assert.equal(outcome, allowed, JSON.stringify({ capability, wishes }));
  }
});

test('names are names', async () => {
  const { service, accrue, client } = start();
  const names = ['__proto__', 'constructor', 'größe:\u{1F600}', '"', '10', '9'];
  service.permitted = Object.fromEntries(names.map((name) => [name, ['subscribe']]));
  for (const name of names) await accrue.ask(client, JSON.parse(`{${JSON.stringify(name)}: ["subscribe"]}`));
  assert.deepEqual(service.asked.map((asked) => Object.keys(asked)), names.map((name) => [name]));
  service.permitted = {};
  service.held = Object.create(null);
  for (const name of names) await assert.rejects(accrue.attach(client, `${name}x`), Denied);
  for (const name of ['__proto__', 'constructor']) {
    await client.renew();
    await assert.rejects(accrue.attach(client, name), Denied);
  }
});

test('one authorize() at a time; what is wished for meanwhile goes along with the next', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'], c: ['subscribe', 'publish'] };
  const held = service.hold();
  const a = accrue.attach(client, 'a');
  const open = await held;
  const others = [accrue.attach(client, 'b'), accrue.attach(client, 'c'), accrue.attach(client, 'c', ['publish'])];
  open();
  await a;
  const verdicts = await Promise.allSettled(others);
  assert.deepEqual(verdicts.map(({ status, reason }) => reason?.name ?? status), ['Denied', 'fulfilled', 'fulfilled']);
  assert.deepEqual(service.asked, [{ a: ['subscribe'] }, { b: ['subscribe'], c: ['subscribe', 'publish'] }]);
  assert.equal(client.authorized, 2);
  assert.equal(service.mostInFlight, 1);
});

test('wishes that are made at the same moment are one request', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'], b: ['subscribe', 'publish'] };
  await Promise.all([
    ...Array.from({ length: 5 }, () => accrue.attach(client, 'a')),
    accrue.ask(client, { b: ['publish'] }),
    accrue.attach(client, 'b'),
  ]);
  assert.deepEqual(service.asked, [{ a: ['subscribe'], b: ['publish', 'subscribe'] }]);
  assert.equal(client.authorized, 1);
});

test('a channel waits until the token that has it is in effect', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe', 'publish'] };
  const effects = [];
  client.auth.authorize = async () => {
    const { capability } = client;
    await client.renew();
    const next = client.capability;
    client.capability = capability;
    await new Promise((resolve) => { effects.push(resolve); });
    client.capability = next;
  };
  const first = accrue.attach(client, 'a', ['subscribe', 'publish']);
  await until(() => effects.length === 1);
  const second = accrue.attach(client, 'a');
  effects[0]();
  await first;
  await until(() => effects.length === 2);
  effects[1]();
  assert.equal((await second).attached, 2);
});

test('operations and * for one resource are sent as * alone', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['*'] };
  await Promise.all([accrue.ask(client, { a: ['subscribe'] }), accrue.ask(client, { a: ['*'] })]);
  assert.deepEqual(service.asked, [{ a: ['*'] }]);
});

test('the wishes of the application go along with ours, and none of ours stays with the client', async () => {
  const { service, accrue, client } = start();
  client.params = { clientId: 'alice', ttl: 1000, capability: '{"own":["subscribe"]}' };
  service.permitted = { own: ['subscribe'], a: ['subscribe'] };
  await accrue.attach(client, 'a');
  await client.renew();
  assert.deepEqual(service.asked, [{ own: ['subscribe'], a: ['subscribe'] }, { own: ['subscribe'] }]);
  const [{ clientId, ttl, credentials, headers, method }] = service.requests;
  assert.deepEqual([method, clientId, ttl, credentials], ['POST', 'alice', 1000, 'include']);
  assert.deepEqual(headers, { 'content-type': 'application/json' });
});

test('an answer that ably-js asked for itself counts', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  const held = service.hold();
  const first = accrue.ask(client, { inbox: ['subscribe'] });
  const open = await held;
  const renewal = client.renew(); // waits for the request before
  const attached = accrue.attach(client, 'a');
  open();
  await Promise.all([first, renewal, attached]);
  assert.deepEqual(service.asked, [{ inbox: ['subscribe'] }, { a: ['subscribe'] }, undefined]);
});

test('while the client connects, wishes go along, and there is no authorize()', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  client.connection.state = 'connecting';
  const attached = [accrue.attach(client, 'a'), accrue.attach(client, 'inbox')];
  const refused = accrue.attach(client, 'b');
  await until(() => client.connection.listeners.length);
  client.connection.becomes('connecting'); // ably-js tells it late
  await client.renew();
  client.connection.becomes('connected');
  await Promise.all(attached);
  await assert.rejects(refused, Denied);
  assert.equal(client.authorized, 0);
  assert.equal(service.requests.length, 1);
});

test('a client that does not connect is asked to, unless all is refused already', async () => {
  const { service, accrue, client } = start();
  service.answers = [refusal(40160, 401, { 'accrue-refused': '{"denied":{"a":["subscribe"]}}' })];
  client.connection.state = 'connecting';
  const refused = accrue.attach(client, 'a');
  await assert.rejects(client.renew());
  client.connection.becomes('disconnected');
  await assert.rejects(refused, Denied);
  assert.equal(client.authorized, 0);
  await accrue.ask(client, { inbox: ['subscribe'] });
  assert.equal(client.authorized, 1);
});

test('a client that is closed meanwhile ends the wait, and no authorize() opens it again', async () => {
  const { service, accrue, client } = start();
  client.auth.authorize = () => {
    client.authorized += 1;
    return new Promise(() => {});
  };
  const waiting = [accrue.ask(client, { a: ['subscribe'] }), accrue.attach(client, 'b')];
  await until(() => client.authorized);
  client.connection.becomes('closing');
  client.connection.becomes('closed');
  const expected = { code: 80017, statusCode: 400, message: 'the client is closed' };
  for (const wait of waiting) await assert.rejects(wait, expected);
  client.connection.state = 'closing';
  await assert.rejects(accrue.ask(client, { c: ['subscribe'] }), { code: 80017 });
  assert.equal(client.authorized, 1);
  // the next client of the same Accrue is none of that
  const next = new Client(accrue);
  await next.renew();
  assert.deepEqual(service.asked, [undefined]);
  await accrue.attach(next, 'inbox');
  await accrue.ask(next, { inbox: ['subscribe'] });
  assert.deepEqual(next.connection.listeners, []);
});

test('what authorize() throws is passed on, and so is what attach() throws', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  const ofAbly = Object.assign(new Error('token refused'), { code: 40101 });
  const ofChannel = Object.assign(new Error('no'), { code: 90001 });
  const { authorize } = client.auth;
  client.auth.authorize = () => authorize().then(() => { throw ofAbly; });
  await assert.rejects(accrue.attach(client, 'a'), (error) => error === ofAbly);
  client.auth.authorize = authorize;
  client.channels.get('a').attach = () => Promise.reject(ofChannel);
  await assert.rejects(accrue.attach(client, 'a'), (error) => error === ofChannel);
  assert.equal(service.requests.length, 1);
});

test('a client with another authCallback is told', async () => {
  const { accrue, client } = start();
  client.accrue = new Accrue(URL_OF_AUTH, { fetch: new Service().fetch });
  await assert.rejects(accrue.attach(client, 'a'), /client does not use this authCallback/);
});

test('40160 in spite of the token is asked about once', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  await accrue.ask(client, { a: ['subscribe'] });
  const { attach } = client.channels.get('a');
  let refusals = 1;
  client.channels.get('a').attach = async () => {
    if (refusals-- > 0) throw Object.assign(new Error('no'), { code: 40160 });
    return attach();
  };
  await accrue.attach(client, 'a');
  assert.equal(service.requests.length, 2);
  refusals = 9;
  await assert.rejects(accrue.attach(client, 'a'), { code: 40160, name: 'Error' });
  assert.equal(service.requests.length, 3);
  // nor is it asked about after an answer that says yes
  service.permitted.b = ['subscribe'];
  client.channels.get('b').attach = () => Promise.reject(Object.assign(new Error('no'), { code: 40160 }));
  await assert.rejects(accrue.attach(client, 'b'), { code: 40160, name: 'Error' });
  assert.equal(service.requests.length, 4);
});

test('where the reasons were too long for a header, each wish is asked for by itself', async () => {
  const { service, accrue, client } = start();
  const names = Array.from({ length: 20 }, (_, i) => `a channel with a long name:${i}`);
  service.permitted = { [names[7]]: ['subscribe'] };
  const verdicts = await Promise.allSettled(names.map((name) => accrue.attach(client, name)));
  assert.deepEqual(verdicts.map(({ reason }) => reason?.name), names.map((_, i) => (i === 7 ? undefined : 'Denied')));
  const alone = names.filter((_, i) => i !== 7).map((name) => [name]);
  assert.deepEqual(service.asked.map((asked) => Object.keys(asked)), [names, ...alone]);
  // what is wished for meanwhile goes together, after those
  service.requests.length = 0;
  const held = service.hold();
  const again = Promise.allSettled(names.slice(8).map((name) => accrue.attach(client, name)));
  (await held)();
  await Promise.allSettled([accrue.attach(client, 'late:1'), accrue.attach(client, 'late:2'), again]);
  assert.deepEqual(Object.keys(service.asked.at(-1)), ['late:1', 'late:2']);
});

test('an outage is about all wishes, also where its reasons are too long for a header', async () => {
  const { service, accrue, client } = start();
  service.answers = [refusal(50003, 503, { 'accrue-refused': '{"truncated":true}' })];
  const verdicts = await Promise.allSettled([accrue.attach(client, 'a'), accrue.attach(client, 'b')]);
  assert.deepEqual(verdicts.map(({ reason }) => reason.name), ['Unavailable', 'Unavailable']);
  assert.deepEqual(service.asked, [{ a: ['subscribe'], b: ['subscribe'] }]);
});

test('what is unavailable stays so while the client is refused, unless it is malformed', async () => {
  const answers = [[refusal(40100, 401), true], [refusal(40400, 404), true], [refusal(40000, 400), false]];
  for (const [answer, stays] of answers) {
    const { service, accrue, client } = start();
    service.reason = 'unavailable';
    await assert.rejects(accrue.ask(client, { a: ['subscribe'] }), Unavailable);
    service.answers = [answer];
    await assert.rejects(client.renew());
    await client.renew();
    assert.deepEqual(service.asked.at(-1), stays ? { a: ['subscribe'] } : undefined);
  }
});

test('unavailable wishes go together again once each has been answered', async () => {
  const { service, accrue, client } = start();
  const names = Array.from({ length: 20 }, (_, i) => `a channel with a long name:${i}`);
  service.reason = 'unavailable';
  const verdicts = await Promise.allSettled(names.map((name) => accrue.attach(client, name)));
  assert.ok(verdicts.every(({ reason }) => reason instanceof Unavailable));
  service.permitted = Object.fromEntries(names.map((name) => [name, ['subscribe']]));
  await client.renew();
  assert.deepEqual(Object.keys(service.asked.at(-1)), names);
  const requests = service.requests.length;
  await Promise.all(names.map((name) => accrue.attach(client, name)));
  assert.equal(service.requests.length, requests);
});

test('where renewals find out too much for a header, they go on one by one', async () => {
  const { service, accrue, client } = start();
  const names = ['a', 'b', 'c'];
  service.answers = [new TypeError('fetch failed'), token(service.given, { 'accrue-refused': '{"truncated":true}' })];
  await Promise.allSettled(names.map((name) => accrue.attach(client, name)));
  for (let i = 0; i < 5; i++) await client.renew();
  const asked = service.asked.map((wishes) => wishes && Object.keys(wishes));
  assert.deepEqual(asked, [names, names, ['a'], ['b'], ['c'], undefined]);
});

test('a wish that is too long for the header by itself is refused without a reason', async () => {
  const { service, accrue, client } = start();
  await assert.rejects(accrue.attach(client, 'x'.repeat(600)), (error) => {
    assert.equal(error.constructor, Refused);
    assert.match(error.message, /^unknown: /);
    return true;
  });
  assert.equal(service.requests.length, 1);
});

test('a client that is closed before all reasons are known ends the wait', async () => {
  const { service, accrue, client } = start();
  service.answers = [token({ inbox: ['subscribe'] }, { 'accrue-refused': '{"truncated":true}' })];
  const { authorize } = client.auth;
  client.auth.authorize = () => authorize().finally(() => { client.connection.state = 'closed'; });
  const verdicts = await Promise.allSettled([accrue.attach(client, 'a'), accrue.attach(client, 'b')]);
  assert.deepEqual(verdicts.map(({ reason }) => reason.code), [80017, 80017]);
});

for (const [code, status] of [[40000, 400], [41300, 413]]) {
  test(`a malformed wish is an error for whoever made it: ${status}`, async () => {
    const { service, accrue, client } = start();
    service.reason = 'unavailable';
    await assert.rejects(accrue.ask(client, { later: ['subscribe'] }), Unavailable);
    service.permitted = { a: ['subscribe'], b: ['subscribe'], c: ['subscribe'] };
    service.answer = function answer(request) {
      const isBad = JSON.stringify(request.capability ?? {}).includes('pubish');
      return isBad ? refusal(code, status) : Service.prototype.answer.call(this, request);
    };
    const verdicts = await Promise.allSettled([
      accrue.attach(client, 'a'), accrue.attach(client, 'b', ['pubish']), accrue.attach(client, 'c'),
    ]);
    assert.deepEqual(verdicts.map(({ status, reason }) => reason?.code ?? status), ['fulfilled', code, 'fulfilled']);
    await client.renew();
  });
}

test('carrier header: none first, then what came last; nothing is lost by a failure', async () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const options = { carrier: 'header', storage, headers: async () => ({ authorization: 'Bearer x' }) };
  const { service, accrue, client } = start(options);
  service.permitted = { a: ['subscribe'], b: ['subscribe'] };
  await accrue.attach(client, 'a');
  service.answers = [refusal(50003, 503), new TypeError('fetch failed')];
  await assert.rejects(client.renew());
  await assert.rejects(client.renew());
  await accrue.attach(client, 'b');
  const grants = service.requests.map(({ headers }) => headers['accrue-grant']);
  const first = '{"a":["subscribe"]}';
  assert.deepEqual(grants, ['none', first, first, first]);
  const [{ headers, credentials }] = service.requests;
  const sent = { authorization: 'Bearer x', 'content-type': 'application/json', 'accrue-grant': 'none' };
  assert.deepEqual([headers, credentials], [sent, 'same-origin']);
  // a page that is loaded again
  const again = new Accrue(URL_OF_AUTH, { ...options, fetch: service.fetch });
  await new Client(again).renew();
  assert.equal(service.requests.at(-1).headers['accrue-grant'], '{"a":["subscribe"],"b":["subscribe"]}');
  await again.giveUp();
  assert.deepEqual([...kept.values()], ['none']);
});

test('carrier header: a storage that is full is done without', async () => {
  const storage = { getItem: () => null, setItem: () => { throw new Error('QuotaExceededError'); } };
  const { service, accrue, client } = start({ carrier: 'header', storage });
  service.permitted = { a: ['subscribe'] };
  await accrue.attach(client, 'a');
  await client.renew();
  assert.equal(service.requests[1].headers['accrue-grant'], '{"a":["subscribe"]}');
});

test('a request that could not even be made holds up nothing', async () => {
  const { client } = start();
  client.params = { capability: 'not JSON' };
  await assert.rejects(client.renew(), SyntaxError);
  client.params = undefined;
  await client.renew();
});

test('carrier header: requests of one client do not overlap', async () => {
  const { service, accrue, client } = start({ carrier: 'header' });
  service.permitted = { a: ['subscribe'] };
  await Promise.all([client.renew(), accrue.attach(client, 'a'), client.renew()]);
  assert.equal(service.mostInFlight, 1);
  await client.renew();
  assert.equal(service.requests.at(-1).headers['accrue-grant'], '{"a":["subscribe"]}');
});

test('tabs that share cookies take turns, for the request alone', async () => {
  const locks = { names: new Set(), queue: Promise.resolve(), request(name, { signal }, work) {
    this.names.add(name);
    const turn = this.queue.then(() => { signal.throwIfAborted(); return work(); });
    this.queue = turn.catch(() => {});
    return turn;
  } };
  const service = new Service();
  const tabs = [1, 2, 3].map(() => new Accrue(URL_OF_AUTH, { fetch: service.fetch, locks }));
  const clients = tabs.map((accrue) => new Client(accrue));
  clients[0].auth.authorize = () => clients[0].renew().then(() => new Promise(() => {})); // waits for the connection
  tabs[0].ask(clients[0], { inbox: ['subscribe'] });
  await Promise.all(tabs.slice(1).map((accrue, i) => accrue.ask(clients[i + 1], { inbox: ['subscribe'] })));
  assert.equal(service.requests.length, 3);
  assert.equal(service.mostInFlight, 1);
  assert.deepEqual([...locks.names], [`accrue ${URL_OF_AUTH}`]);
  locks.names.clear();
  await new Client(new Accrue(URL_OF_AUTH, { fetch: service.fetch, locks, carrier: 'header' })).renew();
  assert.equal(locks.names.size, 0);
});

test('a tab that hangs, or locks that are forbidden, hold up nobody', async (t) => {
  hurry(t);
  const hanging = { request: (_, { signal }) => untilAborted(signal) };
  const forbidden = { request: async () => { throw new DOMException('opaque origin', 'SecurityError'); } };
  const stolen = { request: async (_name, _options, work) => {
    work();
    throw new DOMException('stolen', 'AbortError');
  } };
  for (const locks of [hanging, forbidden, stolen]) {
    const { service, client } = start({ locks });
    await client.renew();
    assert.equal(service.requests.length, 1);
  }
});

test('what hangs ends in time, and the next request is made', async (t) => {
  hurry(t);
  const { service, accrue, client } = start();
  service.answers = [(_, signal) => untilAborted(signal)];
  await assert.rejects(accrue.attach(client, 'a'), (error) => {
    assert.ok(error instanceof Unavailable);
    assert.equal(error.cause.code, 40170);
    return true;
  });
  await client.renew();
  await assert.rejects(start({ headers: () => { throw new Error('signed out'); } }).client.renew(), /signed out/);
});

test('giving up', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  await accrue.attach(client, 'a');
  service.reason = 'unavailable';
  await assert.rejects(accrue.ask(client, { b: ['subscribe'], c: ['subscribe'] }), Unavailable);
  await accrue.giveUp({ b: ['subscribe'], a: ['subscribe'] });
  const query = new URLSearchParams({ capability: '{"b":["subscribe"],"a":["subscribe"]}' });
  assert.equal(service.requests.at(-1).url, `${URL_OF_AUTH}?${query}`);
  assert.equal(service.requests.at(-1).method, 'DELETE');
  await accrue.attach(client, 'a'); // the token has it, but the next one would not
  assert.deepEqual(service.asked.at(-1), { c: ['subscribe'], a: ['subscribe'] });
  const held = service.hold();
  const renewal = client.renew();
  const open = await held;
  const waiting = assert.rejects(accrue.ask(client, { d: ['subscribe'] }), Unavailable);
  const givenUp = accrue.giveUp();
  open();
  await Promise.all([renewal, waiting, givenUp]);
  assert.deepEqual(service.asked.at(-1), { d: ['subscribe'] }); // who waits for an answer still gets it
  await accrue.giveUp();
  assert.equal(service.requests.at(-1).url, URL_OF_AUTH);
  await client.renew();
  assert.deepEqual(service.asked.at(-1), undefined);
  service.answers = [refusal(40100, 401)];
  await assert.rejects(accrue.giveUp({ a: ['subscribe'] }), { code: 40100, statusCode: 401 });
  const withQuery = new Accrue('/auth?tenant=1', { fetch: service.fetch });
  await withQuery.giveUp({ a: ['*'] });
  assert.match(service.requests.at(-1).url, /^\/auth\?tenant=1&capability=%7B/);
});

test('what is given up while its token is awaited was granted all the same', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  const { authorize } = client.auth;
  client.auth.authorize = () => authorize().then(() => accrue.giveUp());
  await accrue.ask(client, { a: ['subscribe'] });
  assert.equal(service.requests.length, 2);
});

test('what is no capability is told at once, and nothing is sent', async () => {
  const { service, accrue, client } = start();
  for (const wishes of [null, 'a', { a: 'subscribe' }, { a: null }]) {
    await assert.rejects(accrue.ask(client, wishes), TypeError);
  }
  await assert.rejects(accrue.attach(client, 'a', 'subscribe'), TypeError);
  await assert.rejects(accrue.giveUp({ a: 'subscribe' }), TypeError);
  assert.equal(service.requests.length, 0);
});

test('the address may be a URL, and fetch is the global one', async (t) => {
  const service = new Service();
  t.mock.method(globalThis, 'fetch', service.fetch);
  const accrue = new Accrue(new URL(URL_OF_AUTH));
  service.permitted = { a: ['history'] };
  await accrue.ask(new Client(accrue), { a: ['history'] });
  const [{ url, capability }] = service.requests;
  assert.deepEqual([url, capability], [URL_OF_AUTH, { a: ['history'] }]);
});
