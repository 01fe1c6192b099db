// Unmodified ably-js in Chromium against `accrue serve`: cookies, origins, several tabs, and nginx in front.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { serve } from './support/accrue.mjs';
import { servePage } from './support/browser.mjs';
import { AGE, aged } from './support/grant.mjs';
import { inChromium, oneOrigin, otherOrigin, withNginx } from './support/origins.mjs';
import { publishThroughout } from './support/publishing.mjs';
import { README, block } from './support/readme.mjs';
import { bearer, session } from './support/session.mjs';
import { until } from './support/until.mjs';

const BOTH = ['publish', 'subscribe'];
const SUBSCRIBE = ['subscribe'];
const given = { 'inbox:alice': SUBSCRIBE };

/** The README's authCallback, for this address and this session. */
function readmesCallback(authUrl, clientId) {
  const code = block('js', 'authCallback(params, done)').replace('https://auth.example.com/auth', authUrl);
  return `const session = '${session(clientId)}';\n${code}`;
}

/** An authCallback that has the browser send and keep cookies. */
const cookieCallback = (authUrl) => `
  async function authCallback(params, done) {
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', credentials: 'include', headers, body: JSON.stringify(params) };
    const response = await fetch('${authUrl}', init);
    const body = await response.json();
    response.ok ? done(null, body) : done(Object.assign(new Error(body.error.message), body.error), null);
  }`;

/** A configuration that waits for answers that are held back. */
function patient(webhook) {
  return { permission: { webhook: { timeout: '15s', ...webhook } } };
}

/** Holds the backend's answers back until so many questions are there: then they were asked at the same moment. */
function hold(backend, count) {
  backend.ready = () => until(() => backend.questions.length >= count);
}

/** Has accrue seal so many channels for alice, or as many as it takes, and makes that stale: `{held, grant}`. */
async function stale({ accrue, backend }, count) {
  const wishes = Object.fromEntries(Array.from({ length: count }, () => [`room:${randomUUID()}`, BOTH]));
  Object.assign(backend.permitted, wishes);
  const headers = { ...bearer('alice'), 'content-type': 'application/json', 'accrue-grant': 'none' };
  const body = JSON.stringify({ capability: wishes });
  const response = await fetch(`${accrue.url}/auth`, { method: 'POST', headers, body });
  const { 'inbox:alice': _, ...held } = JSON.parse((await response.json()).capability);
  backend.questions.length = 0;
  return { held, grant: aged('alice', response.headers.get('accrue-grant'), AGE.stale) };
}

const asked = (backend) => backend.questions.map((question) => question.asked);
const sizes = (cookies) => cookies.map(({ name, value }) => name.length + value.length);
const statuses = (...proxies) => [...new Set(proxies.flatMap((proxy) => proxy.requests().map(({ status }) => status)))];
const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);

/** A tab that is new, and wishes for nothing, has all this without a question. */
async function findsRemembered({ browser, backend, url }, everything) {
  const before = backend.questions.length;
  const tab = await browser.open(url);
  await tab.connect({ authUrl: '/auth' });
  assert.deepEqual((await tab.client()).capability, everything);
  assert.equal(backend.questions.length, before);
}

test('one more channel comes on the same connection, and the first one misses no message', withNginx, async (t) => {
  const { browser, backend, accrue, realtime, url } = await oneOrigin(t);
  backend.permitted = { 'chat:0': BOTH, 'chat:1': BOTH };
  const bob = realtime({ authUrl: `${accrue.url}/auth`, authHeaders: bearer('bob') });
  await bob.auth.authorize({ capability: backend.permitted });

  const tab = await browser.open(url);
  const id = await tab.connect({ authUrl: '/auth' });
  await tab.authorize({ 'chat:0': SUBSCRIBE });
  await tab.listen('chat:0');
  const { sent, stop } = publishThroughout(t, bob.channels.get('chat:0'));
  const somePass = async () => {
    const before = sent.length;
    await until(() => sent.length >= before + 5);
  };

  await somePass();
  await assert.rejects(tab.attach('chat:1'), { code: 40160 });
  await somePass();
  const both = { 'chat:0': SUBSCRIBE, 'chat:1': SUBSCRIBE };
  assert.deepEqual(await tab.authorize({ 'chat:1': SUBSCRIBE }), { ...both, ...given });
  await somePass();
  await tab.attach('chat:1');
  await somePass();
  await stop();

  await until(async () => (await tab.messages()).length >= sent.length);
  assert.deepEqual(await tab.messages(), sent);
  const client = await tab.client();
  assert.equal(client.id, id);
  assert.deepEqual(new Set(client.states), new Set(['connecting', 'connected']));
  assert.deepEqual(tab.errors, []);

  await tab.listen('chat:1');
  await bob.channels.get('chat:1').publish('n', 'over there');
  await until(async () => (await tab.messages()).includes('over there'));
});

for (const { form, options, script, inJar } of [
  { form: 'authUrl by GET', options: { authUrl: '/auth' }, inJar: 1 },
  { form: 'authUrl by POST', options: { authUrl: '/auth', authMethod: 'POST' }, inJar: 1 },
  { form: "the README's authCallback, with JSON and Accrue-Grant", script: readmesCallback('/auth', 'alice'), inJar: 0 },
]) {
  test(`${form}: what was permitted stays, and only what is new is asked`, withNginx, async (t) => {
    const { browser, backend, url } = await oneOrigin(t);
    backend.permitted = { 'chat:1': BOTH, 'chat:2': SUBSCRIBE };
    const tab = await browser.open(url);
    await tab.run(script);
    await tab.connect(options);
    assert.deepEqual((await tab.client()).capability, given);
    await assert.rejects(tab.attach('chat:1'), { code: 40160 });
    await tab.authorize({ 'chat:1': BOTH });
    await tab.authorize({ 'chat:2': BOTH });
    await tab.attach('chat:1');
    await tab.attach('chat:2');
    assert.deepEqual(await tab.authorize({ 'chat:1': BOTH }), { ...backend.permitted, ...given });
    assert.deepEqual(asked(backend), [{ 'chat:1': BOTH }, { 'chat:2': BOTH }]);
    assert.equal((await browser.grants()).length, inJar);
    assert.deepEqual(tab.errors, []);
  });
}

test('cookies grow over reloads, and no script sees them', withNginx, async (t) => {
  const { browser, backend, url } = await oneOrigin(t);
  backend.permitted = { 'chat:1': SUBSCRIBE, 'chat:2': SUBSCRIBE };
  const tab = await browser.open(url);
  for (const channel of ['chat:1', 'chat:2']) {
    await tab.connect({ authUrl: '/auth' });
    await tab.authorize({ [channel]: SUBSCRIBE });
    await tab.page.reload();
  }
  await tab.connect({ authUrl: '/auth' });
  assert.deepEqual((await tab.client()).capability, { ...backend.permitted, ...given });
  assert.deepEqual(asked(backend), [{ 'chat:1': SUBSCRIBE }, { 'chat:2': SUBSCRIBE }]);

  const [{ value, expires, name, ...attributes }, ...others] = await browser.grants();
  assert.match(name, /^__Host-accrue\.[\w-]{8}$/);
  assert.deepEqual(attributes, { domain: 'localhost', path: '/', httpOnly: true, secure: true, sameSite: 'Strict' });
  assert.deepEqual(others, []);
  assert.equal(await tab.page.evaluate(() => document.cookie), '');
});

test('two tabs that ask at the same moment both keep what they got', withNginx, async (t) => {
  const { browser, backend, ably, url } = await oneOrigin(t, { config: patient() });
  backend.permitted = { 'chat:1': SUBSCRIBE, 'chat:2': SUBSCRIBE };
  const tabs = await Promise.all(['chat:1', 'chat:2'].map(async (channel) => {
    const tab = await browser.open(url);
    await tab.connect({ authUrl: '/auth' });
    return { tab, channel };
  }));
  hold(backend, 2);
  await Promise.all(tabs.map(({ tab, channel }) => tab.authorize({ [channel]: SUBSCRIBE })));
  for (const { tab, channel } of tabs) {
    assert.deepEqual((await tab.client()).capability, { [channel]: SUBSCRIBE, ...given }, 'neither knew of the other');
    await tab.attach(channel);
  }
  assert.equal((await browser.grants()).length, 2);

  for (const connection of ably.of('alice')) connection.prompt();        // as before a token expires
  for (const { tab, channel } of tabs) {
    await until(async () => Object.keys((await tab.client()).capability).length === 3);
    await tab.attach(channel);
    assert.deepEqual((await tab.client()).capability, { ...backend.permitted, ...given });
  }
  assert.equal(backend.questions.length, 2);
  assert.equal((await browser.grants()).length, 1);
  await findsRemembered({ browser, backend, url }, { ...backend.permitted, ...given });
});

// All eight are asked about at once, which is the worst for nginx.
const eightAtOnce = { config: patient({ max_in_flight_per_client: 8 }) };

/** Eight tabs restored at the same moment, each with a wish. `urls` are two: Chromium has six connections to each. */
async function restore({ browser, backend }, urls, wishes) {
  const tabs = await Promise.all(wishes.map((_, i) => browser.open(urls[i % 2])));
  hold(backend, wishes.length);
  const options = (capability) => ({ authUrl: '/auth', defaultTokenParams: { capability } });
  await Promise.all(tabs.map((tab, i) => tab.connect(options(wishes[i]))));
  assert.equal(backend.questions.length, wishes.length);
  return tabs;
}

test('eight tabs restored at once, all due to be checked again, end with one cookie', withNginx, async (t) => {
  const all = await oneOrigin(t, eightAtOnce);
  const { browser, proxy, another, url } = all;
  const second = await another();
  const { held, grant } = await stale(all, 120);                         // more than there is room for
  await browser.keep(grant);
  const [bytes] = sizes(await browser.grants());
  assert.ok(bytes > 2500 && bytes <= 2560, `${bytes} bytes`);

  const wishes = Object.entries(held).slice(0, 8).map((entry) => Object.fromEntries([entry]));
  for (const tab of await restore(all, [url, second.url], wishes)) {
    assert.deepEqual((await tab.client()).capability, { ...held, ...given });
  }
  // one for each five minutes in which questions were put
  const grants = await browser.grants();
  assert.equal(grants.length, new Set(grants.map(({ value }) => value.split('.')[2])).size);
  assert.ok(grants.length <= 2 && Math.max(...sizes(grants)) <= 2560, `${sizes(grants)} bytes`);
  assert.ok(grants.every(({ value }) => value !== grant && value.split('.')[2] % 300 === 0));
  await findsRemembered(all, { ...held, ...given });
  assert.equal((await browser.grants()).length, 1);
  assert.deepEqual(statuses(proxy, second), [200]);
});

/** The same where each tab wishes for a channel of its own; gives all that is held then. */
async function restoreWithNews(all, count, urls) {
  const { held, grant } = await stale(all, count);
  await all.browser.keep(grant);
  const news = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`room:${i}`, BOTH]));
  Object.assign(all.backend.permitted, news);
  const wishes = Object.entries(news).map((entry) => Object.fromEntries([entry]));
  const tabs = await restore(all, urls, wishes);
  for (const [i, tab] of tabs.entries()) {
    assert.deepEqual((await tab.client()).capability, { ...held, ...wishes[i], ...given });
  }
  return { ...held, ...news, ...given };
}

// Measured: nginx takes 8 KiB of cookies, so eight grants of 1000 bytes beside a session cookie of 130.
test('eight tabs at once, each with its own wish, pass nginx if grants are below 1000 bytes', withNginx, async (t) => {
  const all = await oneOrigin(t, eightAtOnce);
  const { browser, proxy, another, url } = all;
  const second = await another();
  const everything = await restoreWithNews(all, 26, [url, second.url]);
  const bytes = sizes(await browser.grants());
  assert.equal(bytes.length, 8);
  assert.ok(Math.min(...bytes) > 850 && Math.max(...bytes) < 1000, `${bytes} bytes`);

  await findsRemembered(all, everything);
  assert.equal((await browser.grants()).length, 1);
  await findsRemembered(all, everything);
  assert.deepEqual(statuses(proxy, second), [200]);
});

test("larger grants of eight tabs lock the browser out until nginx is configured as the README says", withNginx, async (t) => {
  const all = await oneOrigin(t, eightAtOnce);
  const { browser, another, url } = all;
  const second = await another();
  const everything = await restoreWithNews(all, 50, [url, second.url]);
  const bytes = sizes(await browser.grants());
  assert.ok(bytes.length === 8 && sum(bytes) > 8192, `${bytes} bytes`);
  assert.equal(await browser.status(url), 400);

  const [http] = /large_client_header_buffers [^`]*;/.exec(README);
  const wider = await another({ http, location: block('nginx', 'location = /auth') });
  await findsRemembered({ ...all, url: wider.url }, everything);
  assert.equal((await browser.grants()).length, 1);
  await findsRemembered(all, everything);
});

test('another account in the same tab gets nothing of the first, whose grants stay', withNginx, async (t) => {
  const { browser, backend, url } = await oneOrigin(t);
  backend.permitted = { 'chat:1': SUBSCRIBE, 'chat:2': SUBSCRIBE };
  const tab = await browser.open(url);
  await tab.connect({ authUrl: '/auth' });
  await tab.authorize({ 'chat:1': SUBSCRIBE });
  const [ofAlice] = await browser.grants();

  await browser.signIn('bob');
  await tab.page.reload();
  await tab.connect({ authUrl: '/auth' });
  const ofBob = { 'inbox:bob': SUBSCRIBE };
  const { clientId, capability } = await tab.client();
  assert.deepEqual({ clientId, capability }, { clientId: 'bob', capability: ofBob });
  await assert.rejects(tab.attach('chat:1'), { code: 40160 });
  assert.deepEqual(await tab.authorize({ 'chat:2': SUBSCRIBE }), { 'chat:2': SUBSCRIBE, ...ofBob });
  const { claims, ...question } = backend.questions.at(-1);
  assert.deepEqual(question, { clientId: 'bob', asked: { 'chat:2': SUBSCRIBE }, held: {} });

  await browser.signIn('alice');
  await tab.page.reload();
  await tab.connect({ authUrl: '/auth' });
  assert.deepEqual((await tab.client()).capability, { 'chat:1': SUBSCRIBE, ...given });
  assert.equal(backend.questions.length, 2);
  const grants = await browser.grants();
  assert.equal(grants.length, 2);
  assert.ok(grants.some(({ value }) => value === ofAlice.value));
});

test('DELETE /auth at logout deletes the cookies, whoever they were sealed for', withNginx, async (t) => {
  const { browser, backend, url } = await oneOrigin(t);
  backend.permitted = { 'chat:1': SUBSCRIBE };
  const tab = await browser.open(url);
  for (const clientId of ['bob', 'alice']) {
    await browser.signIn(clientId);
    await tab.page.reload();
    await tab.connect({ authUrl: '/auth' });
    await tab.authorize({ 'chat:1': SUBSCRIBE });
  }
  assert.equal((await browser.grants()).length, 2);

  await browser.signOut();
  assert.equal(await tab.page.evaluate(() => fetch('/auth', { method: 'DELETE' }).then(({ status }) => status)), 204);
  assert.deepEqual(await browser.context.cookies(), []);
  await browser.signIn('alice');
  await tab.page.reload();
  await tab.connect({ authUrl: '/auth' });
  assert.deepEqual((await tab.client()).capability, given);
});

for (const { way, options, script } of [
  { way: "authHeaders: { authorization: '-' }", options: { authHeaders: { authorization: '-' } } },
  { way: 'an authCallback that fetches with credentials', script: cookieCallback },
]) {
  test(`a page on another port keeps cookies with ${way}`, inChromium, async (t) => {
    const { browser, backend, url, authUrl, accrue } = await otherOrigin(t);
    backend.permitted = { 'chat:1': SUBSCRIBE, 'chat:2': SUBSCRIBE };
    const tab = await browser.open(url);
    const connect = async () => {
      await tab.run(script?.(authUrl));
      await tab.connect({ authUrl, ...options });
    };
    for (const channel of ['chat:1', 'chat:2']) {
      await connect();
      await tab.authorize({ [channel]: SUBSCRIBE });
      await tab.page.reload();
    }
    await connect();
    assert.deepEqual((await tab.client()).capability, { ...backend.permitted, ...given });
    assert.deepEqual(asked(backend), [{ 'chat:1': SUBSCRIBE }, { 'chat:2': SUBSCRIBE }]);
    assert.equal((await browser.grants()).length, 1);
    assert.deepEqual(tab.errors, []);
    assert.doesNotMatch(accrue.stderr, /calls without cookies/);
  });
}

test('a page on another port without cookies is served; the log says once what to do', inChromium, async (t) => {
  const urls = [`http://localhost:${await servePage(t)}`, `http://localhost:${await servePage(t)}`];
  const { browser, backend, authUrl, accrue } = await otherOrigin(t, { config: { origins: urls } });
  backend.permitted = { 'chat:1': SUBSCRIBE };
  // with a capital A the header goes along, but no cookies
  const options = { authUrl, authHeaders: { Authorization: `Bearer ${session('alice')}` } };
  for (const url of urls) {
    const tab = await browser.open(url);
    await tab.connect(options);
    assert.deepEqual(await tab.authorize({ 'chat:1': SUBSCRIBE }), { 'chat:1': SUBSCRIBE, ...given });
    await tab.page.reload();
    await tab.connect(options);
    assert.deepEqual((await tab.client()).capability, given, 'what was granted is not remembered');
  }
  assert.deepEqual(await browser.grants(), []);
  await until(() => accrue.stderr.match(/ request /g)?.length >= 6);
  for (const url of urls) {
    const advice = accrue.stderr.split('\n').filter((line) => line.includes(`a page on ${url} calls without cookies`));
    assert.equal(advice.length, 1);
    assert.ok(advice[0].includes('Set authHeaders: {authorization: "-"} in ably-js'), advice[0]);
  }
});

test('a page that is not listed is refused, until the line from the log is configured', inChromium, async (t) => {
  const config = { origins: ['https://app.example.com'] };
  const { browser, url, authUrl, accrue, settings } = await otherOrigin(t, { config });
  const tab = await browser.open(url);
  const connecting = tab.connect({ authUrl, authHeaders: { authorization: '-' } });
  await assert.rejects(connecting, { code: 80019, statusCode: 401 });
  const blocked = `from origin '${url}' has been blocked by CORS policy`;
  assert.ok(tab.errors.some((text) => text.includes(blocked)), tab.errors.join('\n'));
  await accrue.says('stderr', /route="\/auth" status=403 outcome="foreign"/);
  const [, line] = await accrue.says('stderr', /the line for it is: origins = (\[.*?\])/);
  assert.deepEqual(JSON.parse(line), ['https://app.example.com', url]);

  await accrue.stop();
  await serve(t, { ...settings, listen: new URL(accrue.url).host, origins: JSON.parse(line) });
  await until(async () => (await tab.client()).state === 'connected');
  assert.deepEqual((await tab.client()).capability, given);
});

test('with cookie.cross_site a page of another site keeps cookies, each site its own', inChromium, async (t) => {
  const port = await servePage(t);
  const [crossSite, sameSite] = [`http://127.0.0.1:${port}`, `http://localhost:${port}`];
  const config = { origins: [crossSite, sameSite], cookie: { cross_site: true } };
  const { browser, backend, authUrl } = await otherOrigin(t, { config });
  backend.permitted = { 'chat:1': SUBSCRIBE, 'chat:2': SUBSCRIBE };
  const options = { authUrl, authHeaders: bearer('alice') };
  const tab = await browser.open(crossSite);
  for (const channel of ['chat:1', 'chat:2']) {
    await tab.connect(options);
    await tab.authorize({ [channel]: SUBSCRIBE });
    await tab.page.reload();
  }
  await tab.connect(options);
  assert.deepEqual((await tab.client()).capability, { ...backend.permitted, ...given });
  assert.equal(backend.questions.length, 2);
  const [{ partitionKey, ...cookie }, ...others] = await browser.grants();
  assert.equal(partitionKey, crossSite.replace(`:${port}`, ''));
  assert.equal(cookie.sameSite, 'None');
  assert.deepEqual(others, []);

  const elsewhere = await browser.open(sameSite);
  await elsewhere.connect(options);
  assert.deepEqual((await elsewhere.client()).capability, given);
});

test("a page of another site needs no cookies with the README's authCallback", inChromium, async (t) => {
  const { browser, backend, url, authUrl, accrue } = await otherOrigin(t, { host: '127.0.0.1' });
  backend.permitted = { 'chat:1': SUBSCRIBE, 'chat:2': SUBSCRIBE };
  const tab = await browser.open(url);
  await tab.run(readmesCallback(authUrl, 'alice'));
  await tab.connect();
  for (const channel of ['chat:1', 'chat:2']) {
    await tab.authorize({ [channel]: SUBSCRIBE });
    await tab.attach(channel);
  }
  assert.deepEqual(await tab.authorize({ 'chat:1': SUBSCRIBE }), { ...backend.permitted, ...given });
  assert.equal(backend.questions.length, 2);
  assert.deepEqual(await browser.grants(), []);
  assert.deepEqual(tab.errors, []);
  assert.doesNotMatch(accrue.stderr, /calls without cookies/);
});

test('a barred client ends in FAILED, with our message, and its grants are gone', withNginx, async (t) => {
  const { browser, backend, url } = await oneOrigin(t);
  backend.permitted = { 'chat:1': SUBSCRIBE };
  const tab = await browser.open(url);
  await tab.connect({ authUrl: '/auth' });
  await tab.authorize({ 'chat:1': SUBSCRIBE });
  backend.barred.add('alice');
  await assert.rejects(tab.authorize({ 'chat:2': SUBSCRIBE }), { code: 40300 });
  const { state, error: { code, statusCode, cause } } = await tab.client();
  assert.deepEqual({ state, code, statusCode }, { state: 'failed', code: 80019, statusCode: 403 });
  assert.deepEqual([cause.code, cause.message], [40300, 'this client is barred: do not connect again']);
  assert.deepEqual(await browser.grants(), []);

  await tab.page.reload();
  const options = { authUrl: '/auth', defaultTokenParams: { capability: { 'chat:1': SUBSCRIBE } } };
  await assert.rejects(tab.connect(options), { code: 80019, statusCode: 403 });
  assert.deepEqual((await tab.client()).states, ['connecting', 'failed']);
});

test('a logged-out client gets 40100, tries again, and connects when the session is back', withNginx, async (t) => {
  const { browser, proxy, url } = await oneOrigin(t);
  await browser.signOut();
  const tab = await browser.open(url);
  await assert.rejects(tab.connect({ authUrl: '/auth' }), ({ code, statusCode, cause }) => {
    assert.deepEqual({ code, statusCode, cause: cause.code }, { code: 80019, statusCode: 401, cause: 40100 });
    return true;
  });
  await until(() => proxy.requests().filter(({ status }) => status === 401).length >= 2);
  await browser.signIn('alice');
  await until(async () => (await tab.client()).state === 'connected');
  assert.deepEqual((await tab.client()).capability, given);
});
