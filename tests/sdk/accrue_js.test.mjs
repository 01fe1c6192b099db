// node --test accrue_js.test.mjs: the module for browsers by itself, with an Ably client and a service that are played.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setImmediate as soon, setTimeout as sleep } from 'node:timers/promises';
import { Accrue, Denied, Full, Refused, Unavailable } from '../../examples/browser/accrue.js';

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
      const isPermitted = (operation) => Object.hasOwn(this.permitted, resource) && this.permitted[resource].includes(operation);
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

  /** The wishes of each request. */
  get asked() {
    return this.requests.map(({ capability }) => capability);
  }
}

const ascii = (value) => JSON.stringify(value).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
const token = (capability, headers) => Response.json({ keyName: 'app.key', capability: JSON.stringify(capability) }, { headers });
const refusal = (code, status, headers) => Response.json({ error: { code, statusCode: status, message: 'no' } }, { status, headers });

/** What the module uses of ably-js, which calls back on its own for `renew()`. */
class Client {
  channels = { all: {}, get: (name) => (this.channels.all[name] ??= { name, attached: 0, attach: () => this.#attach(name) }) };
  auth = { authorize: () => this.renew((this.authorized += 1)) };
  authorized = 0;
  attempts = 0; // to attach
  capability = {}; // of the token in effect
  connection = {
    state: 'connected',
    listeners: [],
    on: (_, listener) => this.connection.listeners.push(listener),
    once: (listener) => {
      const once = (change) => {
        this.connection.off(once);
        listener(change);
      };
      this.connection.on(null, once);
    },
    off: (listener) => this.connection.listeners.splice(this.connection.listeners.indexOf(listener), 1),
    becomes: (state) => {
      this.connection.state = state;
      for (const listener of [...this.connection.listeners]) listener({ current: state });
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
    assert.deepEqual({ name, code, statusCode, refused }, { name: 'Denied', code: 40160, statusCode: 401, refused: { denied: { 'chat:1': ['publish'] } } });
    assert.match(error.message, /^\{"chat:1":\["publish"\]\}: not permitted/);
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
    ['not JSON', Denied],
    [undefined, Denied], // strategy `server` reads no wishes
  ];
  for (const [header, Kind] of cases) {
    const { service, accrue, client } = start();
    service.answers = [token({ inbox: ['subscribe'] }, header && { 'accrue-refused': header })];
    const wishes = ['a', 'b', 'c'].filter((name) => name === 'a' || header?.includes(`"${name}"`));
    await assert.rejects(accrue.ask(client, Object.fromEntries(wishes.map((name) => [name, ['subscribe']]))), (error) => {
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
    ['foo:*', 'foo:1', true], ['foo:*', 'foo:1:2', true], ['foo:*', 'foo::x', true], ['foo:*', 'foo:*', true], ['foo:*', 'foo', false],
    ['foo:*', 'foobar', false], ['foo:*', '[meta]foo:1', false], ['[*]foo:*', '[meta]foo:1', true], ['[*]foo:*', 'foo:1', true],
    ['[meta]*', '[meta]log', true], ['[meta]*', 'log', false], ['*', 'r::$chat', true], ['*', '[queue]q', false], ['[*]*', '[*]*', true],
    ['*', '[*]*', false], ['a:*:c', 'a:b:c', true], ['a:*:c', 'a::c', false], ['a:*:c', 'a:b:b:c', false], ['a:*:*', 'a:*', false],
    ['a:*', 'a:*:*', true], ['*:c', 'a:c', true], ['*:c', 'a:b:c', false], ['*', '*:c', true], ['a', 'A', false], ['a*', 'ab', false],
  ];
  const { cases: ablys } = JSON.parse(readFileSync(new URL('../data/capability-match.json', import.meta.url)));
  const rows = [
    ...cases.map(([pattern, name, allowed]) => ({ capability: { [pattern]: ['subscribe'] }, wishes: { [name]: ['subscribe'] }, allowed })),
    // where Ably's pages are silent, accrue takes the narrower reading
    ...ablys.filter(({ id }) => id !== 'cap-023').map(({ channel, operation, ...row }) => ({ ...row, wishes: { [channel]: [operation] } })),
    { capability: { 'chat:*': ['subscribe'], 'chat:1': ['publish'] }, wishes: { 'chat:1': ['publish', 'subscribe'] }, allowed: true },
    { capability: { 'chat:1': ['*'] }, wishes: { 'chat:1': ['publish', 'subscribe'] }, allowed: true },
    { capability: { 'chat:1': ['publish', 'subscribe'] }, wishes: { 'chat:1': ['*'] }, allowed: false },
    { capability: { 'chat:1': ['subscribe'], 'chat:2': ['subscribe'] }, wishes: { 'chat:*': ['subscribe'] }, allowed: false },
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
  const a = accrue.attach(client, 'a');
  await sleep(0); // its request is out
  const others = [accrue.attach(client, 'b'), accrue.attach(client, 'c'), accrue.attach(client, 'c', ['publish'])];
  await a;
  const verdicts = await Promise.allSettled(others);
  assert.deepEqual(verdicts.map(({ status, reason }) => reason?.name ?? status), ['Denied', 'fulfilled', 'fulfilled']);
  assert.deepEqual(service.asked, [{ a: ['subscribe'] }, { b: ['subscribe'], c: ['subscribe', 'publish'] }]);
  assert.equal(client.authorized, 2);
  assert.equal(service.mostInFlight, 1);
});

test('the same wish at the same time is one request', async () => {
  const { service, accrue, client } = start();
  let open;
  service.answers = [() => new Promise((answer) => { open = answer; })];
  const all = Array.from({ length: 5 }, () => accrue.attach(client, 'a'));
  await sleep(5);
  all.push(accrue.attach(client, 'a'));
  open();
  for (const { reason } of await Promise.allSettled(all)) assert.ok(reason instanceof Denied);
  assert.equal(service.requests.length, 1);
});

test('a channel waits until the token that has it is in effect', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe', 'publish'] };
  let effect;
  client.auth.authorize = async () => {
    const { capability } = client;
    await client.renew();
    const next = client.capability;
    client.capability = capability;
    await new Promise((resolve) => { effect = resolve; });
    client.capability = next;
  };
  const first = accrue.attach(client, 'a', ['subscribe', 'publish']);
  await sleep(5);
  const second = accrue.attach(client, 'a');
  effect();
  await first;
  await sleep(5);
  effect();
  assert.equal((await second).attached, 2);
  assert.equal(client.attempts, 2);
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
  assert.deepEqual({ clientId, ttl, credentials, headers, method }, { clientId: 'alice', ttl: 1000, credentials: 'include', headers: { 'content-type': 'application/json' }, method: 'POST' });
});

test('an answer that ably-js asked for itself counts', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  let open;
  service.answers = [() => new Promise((answer) => { open = answer; })];
  const first = accrue.ask(client, { inbox: ['subscribe'] });
  await sleep(5);
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
  await sleep(0);
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

test('a client that is closed meanwhile ends the wait, and gets no token that would open it again', async () => {
  const { service, accrue, client } = start();
  let open;
  service.answers = [() => new Promise((answer) => { open = answer; })];
  const attached = accrue.attach(client, 'a');
  await sleep(5);
  client.connection.becomes('closing');
  await assert.rejects(attached, { code: 80017, statusCode: 400, message: 'the connection is closing' });
  open();
  await sleep(5);
  assert.equal(client.lastError.code, 80017);
  assert.deepEqual(client.connection.listeners, []);
  client.connection.becomes('closed');
  client.connection.errorReason = Object.assign(new Error('barred'), { code: 80019 });
  await assert.rejects(accrue.ask(client, { b: ['subscribe'] }), { code: 80017 });
  client.connection.becomes('failed');
  await assert.rejects(accrue.ask(client, { b: ['subscribe'] }), { code: 80019 });
  assert.equal(client.authorized, 1);
  // the next client of the same Accrue is none of that
  const next = new Client(accrue);
  await next.renew();
  await accrue.attach(next, 'inbox');
});

test('an authorize() that never settles holds up nothing once the client is closed', async () => {
  const { accrue, client } = start();
  client.auth.authorize = () => new Promise(() => {});
  const [a, b] = [accrue.ask(client, { a: ['subscribe'] }), accrue.ask(client, { b: ['subscribe'] })];
  await sleep(0);
  client.connection.becomes('closed');
  await assert.rejects(a, { code: 80017 });
  await assert.rejects(b, { code: 80017 });
});

test('what authorize() throws is passed on, and so is what attach() throws', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  const [ofAbly, ofChannel] = [Object.assign(new Error('token refused'), { code: 40101 }), Object.assign(new Error('no'), { code: 90001 })];
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
  await assert.rejects(Promise.all([accrue.ask(client, { a: ['subscribe'] }), accrue.ask(new Client(accrue), { a: ['subscribe'] })]), /one Accrue for each/);
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

test('reasons that were too long for a header are asked for by halves', async () => {
  const { service, accrue, client } = start();
  const names = Array.from({ length: 40 }, (_, i) => `channel:${i}`);
  service.permitted = { 'channel:7': ['subscribe'] };
  service.reason = 'unavailable';
  const verdicts = await Promise.allSettled(names.map((name) => accrue.attach(client, name)));
  assert.deepEqual(verdicts.map(({ reason }) => reason?.name), names.map((name) => (name === 'channel:7' ? undefined : 'Unavailable')));
  assert.ok(service.requests.length <= 6, `${service.requests.length} requests`);
  assert.equal(Object.keys(service.asked[0]).length, 40);
  // all of them go along with a renewal; an answer that says nothing about them ends that
  await client.renew();
  assert.equal(Object.keys(service.asked.at(-1)).length, 39);
  await client.renew();
  assert.deepEqual(service.asked.at(-1), undefined);
});

test('a wish that is too long for the header by itself is refused without a reason', async () => {
  const { service, accrue, client } = start();
  await assert.rejects(accrue.attach(client, 'x'.repeat(600)), (error) => {
    assert.equal(error.constructor, Refused);
    assert.deepEqual(Object.keys(error.refused), ['unknown']);
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

test('a malformed wish is an error for whoever made it', async () => {
  const { service, accrue, client } = start();
  service.reason = 'unavailable';
  await assert.rejects(accrue.ask(client, { later: ['subscribe'] }), Unavailable);
  service.permitted = { a: ['subscribe'], b: ['subscribe'], c: ['subscribe'] };
  service.answer = function answer(request) {
    const isBad = JSON.stringify(request.capability ?? {}).includes('pubish');
    return isBad ? refusal(40000, 400) : Service.prototype.answer.call(this, request);
  };
  const verdicts = await Promise.allSettled([
    accrue.attach(client, 'a'), accrue.attach(client, 'b', ['pubish']), accrue.attach(client, 'c'),
  ]);
  assert.deepEqual(verdicts.map(({ status, reason }) => reason?.code ?? status), ['fulfilled', 40000, 'fulfilled']);
  await client.renew();
});

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
  assert.deepEqual({ headers, credentials }, { headers: { authorization: 'Bearer x', 'content-type': 'application/json', 'accrue-grant': 'none' }, credentials: 'same-origin' });
  // a page that is loaded again
  const again = new Accrue(URL_OF_AUTH, { ...options, fetch: service.fetch });
  await new Client(again).renew();
  assert.equal(service.requests.at(-1).headers['accrue-grant'], '{"a":["subscribe"],"b":["subscribe"]}');
  await again.giveUp();
  assert.deepEqual([...kept.values()], ['none']);
});

test('carrier header: a storage that throws is done without', async () => {
  const storage = { getItem: () => { throw new Error('SecurityError'); }, setItem: () => { throw new Error('QuotaExceededError'); } };
  const { service, accrue, client } = start({ carrier: 'header', storage });
  service.permitted = { a: ['subscribe'] };
  await accrue.attach(client, 'a');
  await client.renew();
  assert.equal(service.requests[1].headers['accrue-grant'], '{"a":["subscribe"]}');
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
  const hanging = { request: (_, { signal }) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))) };
  const forbidden = { request: async () => { throw new DOMException('opaque origin', 'SecurityError'); } };
  for (const locks of [hanging, forbidden]) {
    const { service, client } = start({ locks });
    await client.renew();
    assert.equal(service.requests.length, 1);
    service.answers = [refusal(50003, 503)]; // and what fails under a lock is not sent twice
    const open = { request: (_name, _options, work) => work() };
    const held = new Client(new Accrue(URL_OF_AUTH, { fetch: service.fetch, locks: open }));
    await assert.rejects(held.renew(), { code: 50003 });
    assert.equal(service.requests.length, 2);
  }
});

test('what hangs ends in time, and the next request is made', async (t) => {
  hurry(t);
  const never = () => new Promise(() => {});
  const { service, accrue, client } = start();
  service.answers = [(_, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))), never];
  await assert.rejects(accrue.attach(client, 'a'), (error) => error instanceof Unavailable && error.cause.code === 40170);
  await assert.rejects(client.renew(), { code: 40170, statusCode: 401 }); // also where a fetch pays no heed to its signal
  await client.renew();
  let isFirst = true;
  const other = start({ headers: () => (isFirst ? ((isFirst = false), never()) : {}) });
  await assert.rejects(other.client.renew(), { code: 40170 });
  await other.client.renew();
  await assert.rejects(start({ headers: () => { throw new Error('signed out'); } }).client.renew(), /signed out/);
});

test('giving up', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  await accrue.attach(client, 'a');
  service.reason = 'unavailable';
  await assert.rejects(accrue.ask(client, { b: ['subscribe'], c: ['subscribe'] }), Unavailable);
  await accrue.giveUp({ b: ['subscribe'], a: ['subscribe'] });
  assert.equal(service.requests.at(-1).url, `${URL_OF_AUTH}?capability=${encodeURIComponent('{"b":["subscribe"],"a":["subscribe"]}')}`);
  assert.equal(service.requests.at(-1).method, 'DELETE');
  await accrue.attach(client, 'a'); // the token has it, but the next one would not
  assert.deepEqual(service.asked.at(-1), { c: ['subscribe'], a: ['subscribe'] });
  await accrue.giveUp();
  assert.equal(service.requests.at(-1).url, URL_OF_AUTH);
  await client.renew();
  assert.deepEqual(service.asked.at(-1), undefined);
  service.answers = [refusal(40100, 401)];
  await assert.rejects(accrue.giveUp({ a: ['subscribe'] }), { code: 40100, statusCode: 401 });
  const query = new Accrue('/auth?tenant=1', { fetch: service.fetch });
  await query.giveUp({ a: ['*'] });
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

test('bad input is told at once, and nothing is sent', async () => {
  const { service, accrue, client } = start();
  for (const wishes of [undefined, null, {}, 'a', { a: [] }, { a: 'subscribe' }, { a: [''] }, { a: [1] }, { '': ['subscribe'] }]) {
    await assert.rejects(accrue.ask(client, wishes), TypeError);
    if (wishes !== undefined) await assert.rejects(accrue.giveUp(wishes), TypeError);
  }
  await assert.rejects(accrue.attach(client, ''), TypeError);
  await assert.rejects(accrue.attach(client, 'a', 'subscribe'), /a capability is written/);
  assert.throws(() => new Accrue('/auth', { carrier: 'cookies' }), /'cookie' or 'header', not cookies/);
  assert.throws(() => new Accrue('/auth', { storage: {} }), /storage goes with/);
  assert.equal(service.requests.length, 0);
});

test('a REST client can ask, with the global fetch', async (t) => {
  const service = new Service();
  t.mock.method(globalThis, 'fetch', service.fetch);
  const accrue = new Accrue(new URL(URL_OF_AUTH));
  const client = new Client(accrue);
  service.permitted = { a: ['history'] };
  await accrue.ask({ auth: client.auth }, { a: ['history'] });
  assert.deepEqual(service.asked, [{ a: ['history'] }]);
});
