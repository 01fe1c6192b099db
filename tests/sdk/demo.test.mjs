// Clicks through the page of `accrue demo` in Chromium. SHOTS=FOLDER keeps screenshots.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { Ably } from './ably/server.mjs';
import { BINARY, KEY, listening } from './support/accrue.mjs';
import { ABLY_JS, newContext, noBrowser } from './support/browser.mjs';
import { contents } from './support/grant.mjs';

const shots = process.env.SHOTS;
if (shots) mkdirSync(shots, { recursive: true });

/** A demo of its own, and its page in a browser of its own; nothing in the console but what is tolerated. */
function scenario(title, run, { args = [], tolerate = () => false, ...options } = {}) {
  test(title, { skip: noBrowser }, async (t) => {
    const command = ['demo', '--listen', 'localhost:0', ...args];
    const { url } = await listening(t, BINARY, command, { env: { ABLY_API_KEY: KEY } });
    const context = await newContext(t, { viewport: { width: 1200, height: 900 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(8000);
    const noise = [];
    page.on('console', (m) => {
      if (['error', 'warning'].includes(m.type()) && !tolerate(m.text())) noise.push(m.text());
    });
    page.on('pageerror', (error) => noise.push(String(error)));
    page.on('response', (response) => response.url().includes('favicon') && noise.push('favicon asked for'));
    await run(new DemoPage(t, url, page));
    assert.deepEqual(noise, [], 'console');
  });
}

class DemoPage {
  constructor(t, base, page) {
    Object.assign(this, { t, base, page });
  }

  async open(hash = '') {
    await this.page.goto(`${this.base}/${hash}`);
    await this.happened(/./);
  }

  happened(pattern) {
    return this.says('outcome', pattern);
  }

  /** Waits until an element says this. */
  async says(id, pattern) {
    const isThere = ([id, source, flags]) => new RegExp(source, flags).test(document.getElementById(id).innerText);
    const found = this.page.waitForFunction(isThere, [id, pattern.source, pattern.flags]);
    await found.catch(async () => assert.match(await this.page.innerText(`#${id}`), pattern));
  }

  held() {
    return this.page.$$eval('#held tr', (rows) => Object.fromEntries(rows
      .filter((row) => row.cells.length === 3)
      .map(({ cells: [name, operations] }) => [name.querySelector('code').textContent, operations.textContent])));
  }

  async ask(resource, operations, others = '') {
    await this.page.fill('#resource', resource);
    for (const box of await this.page.$$('#common input')) {
      await box.setChecked(operations.includes(await box.inputValue()));
    }
    await this.page.fill('#others', others);
    await this.page.click('#ask button[type=submit]');
  }

  chip(text) {
    return this.page.getByRole('button', { name: text, exact: true }).click();
  }

  jar() {
    return this.page.textContent('#jar');
  }

  wire() {
    return this.page.$$eval('#wire pre', (all) => all.map((p) => p.textContent));
  }

  async fits() {
    const beyond = () => document.documentElement.scrollWidth - innerWidth;
    assert.equal(await this.page.evaluate(beyond), 0, 'scrolls sideways');
  }

  async shot(name, options = { fullPage: true }) {
    if (shots) await this.page.screenshot({ path: `${shots}/${name}.png`, ...options });
  }
}

const refusedByServer = (text) => /status of (400|401|503)/.test(text);

scenario('first visit: only what is given', async (demo) => {
  await demo.open();
  await demo.happened(/You are alice/);
  assert.deepEqual(await demo.held(), { 'inbox:alice': 'subscribe' });
  assert.match(await demo.jar(), /: 0 grant cookies, 0 bytes/);
  assert.equal(await demo.page.inputValue('#client-id'), 'alice');
  assert.equal(await demo.page.isVisible('#ably-title'), false);
  assert.equal(await demo.page.isVisible('.offline'), true);
  const html = await (await demo.page.request.get(`${demo.base}/`)).text();
  assert.doesNotMatch(html, /\{nonce\}|\{with_ably\}/);
});

scenario('grant, extend, nothing new, pattern, dm', async (demo) => {
  await demo.open();
  await demo.chip('chat:42 subscribe');
  await demo.happened(/Granted chat:42 subscribe/);
  assert.match(await demo.jar(), /: 1 grant cookie, [1-9]\d* bytes\. One cookie has room for 2560\. The last answer set 1 and deleted 0/);
  await demo.ask('chat:42', ['publish', 'subscribe']);
  await demo.happened(/Granted chat:42 publish$/);
  assert.match(await demo.jar(), /: 1 grant cookie,.* set 1 and deleted 1\./);
  await demo.ask('chat:42', ['publish', 'subscribe']);
  await demo.happened(/Nothing new/);
  assert.match(await demo.jar(), /set 0 and deleted 0/);
  await demo.chip('chat:* subscribe');
  await demo.happened(/Granted chat:\* subscribe/);
  await demo.chip('public:news subscribe');
  await demo.happened(/Granted public:news/);
  await demo.chip('dm:alice:bob publish, subscribe');
  await demo.happened(/Granted dm:alice:bob publish, subscribe/);
  await demo.ask('dm:alice:carol', [], '*');
  await demo.happened(/Granted dm:alice:carol \* \(every operation\)/);
  await demo.chip('chat:1 publish, subscribe');
  await demo.happened(/Granted chat:1/);
  const held = await demo.held();
  assert.equal(held['chat:42'], 'publish, subscribe');
  assert.equal(held['dm:alice:carol'], '* (every operation)');
  assert.deepEqual(await demo.page.evaluate(() => document.cookie), '', 'cookies are HttpOnly');
});

scenario('denied, in part and whole', async (demo) => {
  await demo.open();
  await demo.chip('private:1 subscribe');
  await demo.happened(/Refused \(denied\) private:1 subscribe\. The rules do not permit it/);
  await demo.ask('dm:bob:1', ['subscribe']);
  await demo.happened(/Refused \(denied\) dm:bob:1/);
  await demo.ask('public:news', ['subscribe', 'publish'], 'history');
  await demo.happened(/Granted public:news history, subscribe\nRefused \(denied\) public:news publish/);
  for (const odd of ['__proto__', 'constructor', '<img src=x onerror=alert(1)>', 'größe:\u{1F600}']) {
    await demo.ask(odd, ['subscribe']);
    await demo.happened(new RegExp(`Refused \\(denied\\) ${odd.replace(/[()]/g, '\\$&')}`));
  }
  await demo.ask(`chat:<b>${'x'.repeat(5)}`, ['subscribe']);
  await demo.happened(/Granted chat:<b>xxxxx/);
  await demo.ask(`private:${'y'.repeat(700)}`, ['subscribe']);
  await demo.happened(/too long for a header/);
  await demo.fits();
});

scenario('the wire shows what was sent and answered', async (demo) => {
  await demo.open();
  let [sent, got] = await demo.wire();
  assert.match(sent, /^GET \/auth\?clientId=alice\n/);
  assert.match(sent, /Cookie: \(HttpOnly: .* Not counted yet/);
  await demo.chip('chat:42 subscribe');
  await demo.happened(/Granted/);
  [sent, got] = await demo.wire();
  assert.match(sent, /capability = \{"chat:42":\["subscribe"\]\}/);
  assert.match(sent, /Accept: application\/json/);
  assert.match(got, /^200 OK\n/);
  for (const header of ['x-request-id: ', 'accrue-demo: ', 'cache-control: no-store']) assert.ok(got.includes(header), header);
  assert.match(got, /"keyName": [^]*"mac": [^]*capability, decoded\n\{\n  "chat:42": \["subscribe"\],\n  "inbox:alice": \["subscribe"\]\n\}$/);
  assert.doesNotMatch(got, /set-cookie/i);
  await demo.chip('private:1 subscribe');
  await demo.happened(/Refused/);
  [sent, got] = await demo.wire();
  assert.match(sent, /Counted in the answer before: 1 grant cookie, \d+ bytes/);
  assert.match(got, /accrue-refused: \{"denied":\{"private:1":\["subscribe"\]\}\}/);
});

scenario('what is given up is gone, and what is given is in no cookie', async (demo) => {
  await demo.open();
  for (const chip of ['chat:42 subscribe', 'chat:* subscribe', 'public:news subscribe']) {
    await demo.chip(chip);
    await demo.happened(new RegExp(`Granted ${chip.replace('*', '\\*')}`));
  }
  const kept = (await demo.page.context().cookies()).map(({ value }) => Object.keys(contents(value)));
  assert.deepEqual(kept, [['chat:*', 'chat:42', 'public:news']]);
  await demo.page.getByRole('button', { name: 'Give up chat:42' }).focus();
  await demo.page.keyboard.press('Enter');
  await demo.happened(/Given up chat:42 subscribe\nStill held chat:\* contains chat:42/);
  assert.equal(await demo.page.evaluate(() => document.activeElement.id), 'held-title', 'focus is kept');
  const [sent, got, sentThen] = await demo.wire();
  assert.match(sent, /^DELETE \/auth\?clientId=alice&capability=/);
  assert.match(got, /^204 /);
  assert.match(sentThen, /^GET /);
  await demo.page.getByRole('button', { name: 'Give up inbox:alice' }).click();
  await demo.happened(/Given inbox:alice subscribe\. It is in no cookie and comes back each time/);
  assert.match(await demo.page.textContent('#held'), /inbox:alicegiven/);
  assert.deepEqual(Object.keys(await demo.held()), ['chat:*', 'inbox:alice', 'public:news']);
  await demo.page.click('#give-up-all');
  await demo.happened(/Given up chat:\* subscribe; public:news subscribe\nGiven inbox:alice/);
  assert.deepEqual(Object.keys(await demo.held()), ['inbox:alice']);
  assert.match((await demo.wire())[0], /^DELETE \/auth\n/);
  assert.match(await demo.jar(), /: 0 grant cookies, 0 bytes/);
});

scenario('another account', async (demo) => {
  await demo.open();
  await demo.chip('chat:42 subscribe');
  await demo.happened(/Granted/);
  await demo.page.fill('#client-id', 'bob');
  await demo.page.press('#client-id', 'Enter');
  await demo.happened(/You are bob.*\nWhat alice was granted does not count here/);
  assert.deepEqual(await demo.held(), { 'inbox:bob': 'subscribe' });
  assert.equal(new URL(demo.page.url()).hash, '#bob');
  await demo.chip('dm:bob:bob publish, subscribe');
  await demo.happened(/Granted dm:bob:bob/);
  await demo.page.goBack();
  await demo.happened(/You are alice/);
  assert.deepEqual(Object.keys(await demo.held()), ['chat:42', 'inbox:alice']);
  await demo.page.reload();
  await demo.happened(/You are alice/);
  assert.deepEqual(Object.keys(await demo.held()), ['chat:42', 'inbox:alice']);
  await demo.shot('two-accounts');
});

scenario('errors: nothing at all, malformed', async (demo) => {
  await demo.open('#x%3Ay');
  await demo.happened(/Nothing could be granted/);
  assert.match(await demo.page.textContent('#held'), /Nothing\./);
  assert.match((await demo.wire())[1], /^401 .*\n[^]*"code": 40160/);
  await demo.page.fill('#client-id', 'a*');
  await demo.page.click('#who button');
  await demo.happened(/Error 40012/);
  await demo.page.fill('#client-id', 'alice');
  await demo.page.click('#who button');
  await demo.happened(/You are alice/);
  await demo.ask('chat:42', ['subscribe'], 'fly');
  await demo.happened(/Error 40000/);
  assert.deepEqual(await demo.held(), { 'inbox:alice': 'subscribe' });
  await demo.ask('chat:42', []);
  await demo.happened(/Choose at least one operation/);
  await demo.page.goto(`${demo.base}/#%E0%A4%A`);
  await demo.happened(/You are alice/);
}, { tolerate: refusedByServer });

scenario('a full cookie is said to be full', async (demo) => {
  await demo.open();
  for (let i = 0; i < 90; i++) {
    await demo.ask(`chat:${i}-${Array.from({ length: 6 }, () => randomUUID()).join('')}`, ['subscribe']);
    await demo.happened(new RegExp(`(Granted|full\\)) chat:${i}-`));
    if (/\(full\)/.test(await demo.page.textContent('#outcome'))) break;
  }
  const advice = 'There is no room for it in the cookie\\. Give something up first';
  await demo.happened(new RegExp(`Refused \\(full\\) chat:\\d+-\\S+ subscribe\\. ${advice}`));
  await demo.fits();
  await demo.shot('full');
});

scenario('unavailable, 503 and a dead server (answers played here)', async (demo) => {
  await demo.open();
  await demo.page.route('**/auth?*capability*', async (route) => {
    const response = await route.fetch();
    const refused = { 'accrue-refused': '{"unavailable":{"chat:7":["subscribe"]}}' };
    await route.fulfill({ response, headers: { ...response.headers(), ...refused } });
  });
  await demo.ask('inbox:alice', ['subscribe']);
  await demo.happened(/Refused \(unavailable\) chat:7 subscribe\. The check did not answer\. Ask again/);
  await demo.page.unroute('**/auth?*capability*');
  const busy = { code: 50003, statusCode: 503, message: 'try again', href: 'https://help.ably.io/error/50003' };
  await demo.page.route('**/auth*', (route) => route.fulfill({ status: 503, json: { error: busy } }));
  await demo.chip('chat:42 subscribe');
  await demo.happened(/Error 50003 try again/);
  assert.deepEqual(await demo.held(), { 'inbox:alice': 'subscribe' });
  await demo.page.click('#give-up-all');
  await demo.happened(/Error 50003 try again/);
  await demo.page.unroute('**/auth*');
  const oops = { status: 500, contentType: 'text/html', body: '<h1>oops</h1>' };
  await demo.page.route('**/auth*', (route) => route.fulfill(oops));
  await demo.chip('chat:42 subscribe');
  await demo.happened(/Error 500/);
  await demo.page.unroute('**/auth*');
  await demo.page.route('**/auth*', (route) => route.abort());
  await demo.chip('chat:42 subscribe');
  await demo.happened(/The server did not answer/);
}, { tolerate: (text) => /status of 50[03]|ERR_FAILED/.test(text) });

scenario('keyboard only', async (demo) => {
  await demo.open();
  const { page } = demo;
  await page.focus('#resource');
  await page.keyboard.type('chat:9');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await page.keyboard.press('Enter');
  await demo.happened(/Granted chat:9 publish, subscribe/);
  for (const selector of ['#client-id', '#resource', '#give-up-all', '#chips button', '#common input', 'summary']) {
    await page.focus(selector);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Tab');
    const outline = await page.$eval(selector, (node) => getComputedStyle(node).outlineStyle);
    assert.notEqual(outline, 'none', `${selector}: focus is visible`);
  }
  const unlabelled = await page.$$eval('input, meter', (all) => all.filter((node) => !node.labels.length).map(({ id }) => id));
  assert.deepEqual(unlabelled, []);
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1200, 360]) {
    scenario(`nothing is too wide: ${width} pixels, ${colorScheme}`, async (demo) => {
      await demo.open();
      for (const chip of ['chat:42 subscribe', 'dm:alice:bob publish, subscribe', 'chat:* subscribe']) {
        await demo.chip(chip);
        await demo.happened(new RegExp(`Granted ${chip.replace('*', '\\*')}`));
      }
      await demo.page.getByRole('button', { name: 'Give up inbox:alice' }).click();
      await demo.happened(/comes back/);
      await demo.fits();
      await demo.shot(`${width}-${colorScheme}-give-up`);
      await demo.page.click('summary');
      await demo.ask('public:news', ['subscribe', 'publish'], 'history');
      await demo.happened(/Granted public:news/);
      await demo.fits();
      await demo.shot(`${width}-${colorScheme}`);
    }, { colorScheme, viewport: { width, height: 800 } });
  }
}

if (shots) {
  scenario("the README's picture: examples/demo.png", async (demo) => {
    await demo.open();
    for (const chip of ['chat:42 subscribe', 'dm:alice:bob publish, subscribe']) {
      await demo.chip(chip);
      await demo.happened(new RegExp(`Granted ${chip}`));
    }
    await demo.ask('public:news', ['subscribe', 'publish'], 'history');
    await demo.happened(/Granted public:news/);
    await demo.shot('demo', {});
  }, { viewport: { width: 1200, height: 835 } });
}

scenario('nothing runs in the page but its own script', async (demo) => {
  await demo.open();
  await demo.page.evaluate(() => {
    window.refused = [];
    document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => refused.push(effectiveDirective));
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    const image = document.createElement('img');
    image.src = 'http://127.0.0.1:9/';
    document.body.append(script, image);
    document.body.setAttribute('onclick', 'window.ran = true');
    document.body.click();
    fetch('http://127.0.0.1:9/').catch(() => {});
  });
  await demo.page.waitForFunction(() => refused.length >= 4);
  const kinds = ['connect-src', 'img-src', 'script-src-attr', 'script-src-elem'];
  assert.deepEqual(await demo.page.evaluate(() => refused.sort()), kinds);
  assert.equal(await demo.page.evaluate(() => window.ran), undefined);
}, { tolerate: (text) => /Content Security Policy/.test(text) });

/** With `--with-ably`: ably-js comes from node_modules, and Ably's hosts are the stand-in. */
function withAbly(title, run, options) {
  const tolerate = (text) => /status of 40[01]|Ably:/.test(text);
  scenario(`with Ably: ${title}`, async (demo) => {
    const ably = await Ably.start({ keys: [{ key: KEY }] });
    demo.t.after(() => ably.stop());
    await demo.page.route('https://cdn.ably.com/lib/ably.min-2.js', (route) => route.fulfill({ path: ABLY_JS }));
    await demo.page.route(/\/requestToken/, async (route) => {
      const request = route.request();
      const { pathname } = new URL(request.url());
      const target = `http://127.0.0.1:${ably.port}${pathname}`;
      const answer = await fetch(target, { method: 'POST', body: request.postData() });
      const headers = Object.fromEntries(answer.headers);
      await route.fulfill({ status: answer.status, headers, body: await answer.text() });
    });
    await demo.page.routeWebSocket(/ably\.net/, (page) => {
      const socket = new WebSocket(page.url().replace(/^wss:\/\/[^/]*/, `ws://127.0.0.1:${ably.port}`));
      socket.on('message', (text) => page.send(String(text)));
      socket.on('close', () => page.close());
      page.onMessage((text) => socket.send(text));
      page.onClose(() => socket.close());
    });
    await demo.open();
    await demo.says('steps', /connection: connected/);
    await run(demo);
  }, { args: ['--with-ably'], tolerate, ...options });
}

withAbly('connect, attach, wish, attach', async (demo) => {
  const { page } = demo;
  const id = await page.textContent('#ably-id');
  assert.equal(await page.textContent('#ably-state'), 'connected');
  assert.equal(await page.isVisible('.offline'), false);
  await page.click('#attach button');
  await demo.says('steps', /attach chat:42\n[^]*40160[^]*authorize, wishing for \{"chat:42":\["subscribe"\]\}\n[^]*the new token permits .*chat:42[^]*attached to chat:42$/);
  await demo.says('held', /chat:42/);
  await page.click('#attach button');
  await demo.says('steps', /attached to chat:42: the token permits it$/);
  await page.fill('#channel', 'private:1');
  await page.click('#attach button');
  await demo.says('steps', /private:1 was not granted, so stop here$/);
  assert.equal(await page.textContent('#ably-state'), 'connected');
  await page.fill('#channel', 'chat:43');
  await page.click('#attach button');
  await demo.says('steps', /permits \{"chat:42".*"chat:43".*\n[^]*attached to chat:43$/);
  assert.equal(await page.textContent('#ably-id'), id);
  await demo.fits();
  await demo.shot('ably-1200-light');

  await page.fill('#client-id', 'bob');
  await page.click('#who button');
  await demo.says('steps', /connect as bob\n[^]*connection: connected$/);
  const ofBob = await page.textContent('#ably-id');
  await page.click('#reconnect');
  await demo.says('steps', /connect as bob\n[^]*connect as bob\n[^]*connection: connected$/);
  assert.equal(new Set([id, ofBob, await page.textContent('#ably-id')]).size, 3);
});

withAbly('nothing is too wide: 360 pixels, dark', async (demo) => {
  await demo.page.click('#attach button');
  await demo.says('steps', /attached to chat:42$/);
  await demo.fits();
  await demo.shot('ably-360-dark');
}, { colorScheme: 'dark', viewport: { width: 360, height: 800 } });

scenario('with Ably: ably-js cannot be loaded', async (demo) => {
  await demo.page.route('https://cdn.ably.com/**', (route) => route.abort());
  await demo.open();
  await demo.says('ably-state', /could not be loaded/);
  await demo.page.click('#attach button');
  await demo.page.click('#reconnect');
  await demo.chip('chat:42 subscribe');
  await demo.happened(/Granted chat:42/);
  await demo.shot('ably-not-loaded');
}, { args: ['--with-ably'], tolerate: (text) => /ERR_FAILED/.test(text) });
