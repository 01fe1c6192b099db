// node demo.mjs URL [URL_WITH_ABLY]: clicks through the demo page in Chromium.
//
// URL is where `accrue demo` listens, URL_WITH_ABLY one started with --with-ably and any well-formed key: Ably is
// played by this script (ably-js comes from node_modules, requestToken and the WebSocket are answered here).
// SHOTS=FOLDER keeps screenshots; CHROMIUM names another browser than /usr/bin/chromium.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [base = 'http://localhost:8080', ablyBase] = process.argv.slice(2);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const shots = process.env.SHOTS;
if (shots) mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let passed = 0;
const failures = [];

async function scenario(title, run, { url = base, tolerate = () => false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  const noise = [];
  page.on('console', (m) => { if (['error', 'warning'].includes(m.type()) && !tolerate(m.text())) noise.push(m.text()); });
  page.on('pageerror', (e) => noise.push(String(e)));
  page.on('response', (r) => { if (r.url().includes('favicon')) noise.push('favicon asked for'); });
  page.setDefaultTimeout(8000);
  const t = {
    page, context,
    open: async (hash = '') => { await page.goto(`${url}/${hash}`); await t.happened(/./); },
    happened: (pattern) => page.waitForFunction(([s, f]) => new RegExp(s, f).test(document.getElementById('outcome').textContent), [pattern.source, pattern.flags])
      .catch(async () => assert.match(await page.textContent('#outcome'), pattern)),
    held: () => page.$$eval('#held tr', (rows) => Object.fromEntries(rows.filter((r) => r.cells.length === 3).map((r) => [r.cells[0].querySelector('code').textContent, r.cells[1].textContent]))),
    ask: async (resource, operations, others = '') => {
      await page.fill('#resource', resource);
      for (const box of await page.$$('#common input')) await box.setChecked(operations.includes(await box.inputValue()));
      await page.fill('#others', others);
      await page.click('#ask button[type=submit]');
    },
    chip: (text) => page.getByRole('button', { name: text, exact: true }).click(),
    jar: () => page.textContent('#jar'),
    wire: () => page.$$eval('#wire pre', (all) => all.map((p) => p.textContent)),
    fits: async () => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, 'scrolls sideways'),
    shot: async (name) => shots && page.screenshot({ path: `${shots}/${name}.png`, fullPage: true }),
  };
  try {
    await run(t);
    assert.deepEqual(noise, [], 'console');
    passed++;
    console.log(`ok    ${title}`);
  } catch (error) {
    failures.push(title);
    console.log(`FAIL  ${title}\n${error.stack}\n${noise.join('\n')}`);
    await t.shot(`failed-${failures.length}`).catch(() => {});
  }
  await context.close();
}

const refusedByServer = (text) => /status of (400|401|503)/.test(text);

await scenario('first visit: only what is given', async (t) => {
  await t.open();
  await t.happened(/You are alice/);
  assert.deepEqual(await t.held(), { 'inbox:alice': 'subscribe' });
  assert.match(await t.jar(), /: 0 grant cookies, 0 bytes/);
  assert.equal(await t.page.inputValue('#client-id'), 'alice');
  assert.equal(await t.page.isVisible('#ably-title'), false);
  assert.equal(await t.page.isVisible('.offline'), true);
  const html = await (await t.page.request.get(`${base}/`)).text();
  assert.doesNotMatch(html, /\{nonce\}|\{with_ably\}/);
});

await scenario('grant, extend, nothing new, pattern, dm', async (t) => {
  await t.open();
  await t.chip('chat:42 subscribe');
  await t.happened(/Granted chat:42 subscribe/);
  assert.match(await t.jar(), /: 1 grant cookie, [1-9]\d* bytes\. One cookie has room for 2560\. The last answer set 1 and deleted 0/);
  await t.ask('chat:42', ['publish', 'subscribe']);
  await t.happened(/Granted chat:42 publish$/);
  assert.match(await t.jar(), /: 1 grant cookie,.* set 1 and deleted 1\./);
  await t.ask('chat:42', ['publish', 'subscribe']);
  await t.happened(/Nothing new/);
  assert.match(await t.jar(), /set 0 and deleted 0/);
  await t.chip('chat:* subscribe');
  await t.happened(/Granted chat:\* subscribe/);
  await t.chip('public:news subscribe');
  await t.happened(/Granted public:news/);
  await t.chip('dm:alice:bob publish, subscribe');
  await t.happened(/Granted dm:alice:bob publish, subscribe/);
  await t.ask('dm:alice:carol', [], '*');
  await t.happened(/Granted dm:alice:carol \* \(every operation\)/);
  await t.chip('chat:1 publish, subscribe');
  await t.happened(/Granted chat:1/);
  const held = await t.held();
  assert.equal(held['chat:42'], 'publish, subscribe');
  assert.equal(held['dm:alice:carol'], '* (every operation)');
  assert.deepEqual(await t.page.evaluate(() => document.cookie), '', 'cookies are HttpOnly');
});

await scenario('denied, in part and whole', async (t) => {
  await t.open();
  await t.chip('private:1 subscribe');
  await t.happened(/Refused \(denied\) private:1 subscribe\. The rules do not permit it/);
  await t.ask('dm:bob:1', ['subscribe']);
  await t.happened(/Refused \(denied\) dm:bob:1/);
  await t.ask('public:news', ['subscribe', 'publish'], 'history');
  await t.happened(/Granted public:news history, subscribe.*Refused \(denied\) public:news publish/);
  for (const odd of ['__proto__', 'constructor', '<img src=x onerror=alert(1)>', 'größe:\u{1F600}']) {
    await t.ask(odd, ['subscribe']);
    await t.happened(new RegExp(`Refused \\(denied\\) ${odd.replace(/[()]/g, '\\$&')}`));
  }
  await t.ask(`chat:<b>${'x'.repeat(5)}`, ['subscribe']);
  await t.happened(/Granted chat:<b>xxxxx/);
  await t.ask(`private:${'y'.repeat(700)}`, ['subscribe']);
  await t.happened(/too long for a header/);
  await t.fits();
});

await scenario('the wire', async (t) => {
  await t.open();
  let [sent, got] = await t.wire();
  assert.match(sent, /^GET \/auth\?clientId=alice\n/);
  assert.match(sent, /Cookie: \(HttpOnly: .* Not counted yet/);
  await t.chip('chat:42 subscribe');
  await t.happened(/Granted/);
  [sent, got] = await t.wire();
  assert.match(sent, /capability = \{"chat:42":\["subscribe"\]\}/);
  assert.match(sent, /Accept: application\/json/);
  assert.match(got, /^200 OK\n/);
  for (const header of ['x-request-id: ', 'accrue-demo: ', 'cache-control: no-store']) assert.ok(got.includes(header), header);
  assert.match(got, /"keyName": [^]*"mac": [^]*capability, decoded\n\{\n  "chat:42": \["subscribe"\],\n  "inbox:alice": \["subscribe"\]\n\}$/);
  assert.doesNotMatch(got, /set-cookie/i);
  await t.chip('private:1 subscribe');
  await t.happened(/Refused/);
  [sent, got] = await t.wire();
  assert.match(sent, /Counted in the answer before: 1 grant cookie, \d+ bytes/);
  assert.match(got, /accrue-refused: \{"denied":\{"private:1":\["subscribe"\]\}\}/);
});

await scenario('giving up', async (t) => {
  await t.open();
  for (const chip of ['chat:42 subscribe', 'chat:* subscribe', 'public:news subscribe']) {
    await t.chip(chip);
    await t.happened(new RegExp(`Granted ${chip.replace('*', '\\*')}`));
  }
  await t.page.getByRole('button', { name: 'Give up chat:42' }).focus();
  await t.page.keyboard.press('Enter');
  await t.happened(/Given up chat:42 subscribe.*Still held chat:\* contains chat:42/);
  assert.equal(await t.page.evaluate(() => document.activeElement.id), 'held-title', 'focus is kept');
  const [sent, got, sentThen] = await t.wire();
  assert.match(sent, /^DELETE \/auth\?clientId=alice&capability=/);
  assert.match(got, /^204 /);
  assert.match(sentThen, /^GET /);
  await t.page.getByRole('button', { name: 'Give up inbox:alice' }).click();
  await t.happened(/Given inbox:alice subscribe\. It is in no cookie and comes back each time/);
  assert.match(await t.page.textContent('#held'), /inbox:alicegiven/);
  assert.deepEqual(Object.keys(await t.held()), ['chat:*', 'inbox:alice', 'public:news']);
  await t.page.click('#give-up-all');
  await t.happened(/Given up chat:\* subscribe; public:news subscribe.*Given inbox:alice/);
  assert.deepEqual(Object.keys(await t.held()), ['inbox:alice']);
  assert.match((await t.wire())[0], /^DELETE \/auth\n/);
  assert.match(await t.jar(), /: 0 grant cookies, 0 bytes/);
});

await scenario('another account', async (t) => {
  await t.open();
  await t.chip('chat:42 subscribe');
  await t.happened(/Granted/);
  await t.page.fill('#client-id', 'bob');
  await t.page.press('#client-id', 'Enter');
  await t.happened(/You are bob.*What alice was granted does not count here/);
  assert.deepEqual(await t.held(), { 'inbox:bob': 'subscribe' });
  assert.equal(new URL(t.page.url()).hash, '#bob');
  await t.chip('dm:bob:bob publish, subscribe');
  await t.happened(/Granted dm:bob:bob/);
  await t.page.goBack();
  await t.happened(/You are alice/);
  assert.deepEqual(Object.keys(await t.held()), ['chat:42', 'inbox:alice']);
  await t.page.reload();
  await t.happened(/You are alice/);
  assert.deepEqual(Object.keys(await t.held()), ['chat:42', 'inbox:alice']);
  await t.shot('two-accounts');
});

await scenario('errors: nothing at all, malformed', async (t) => {
  await t.open('#x%3Ay');
  await t.happened(/Nothing could be granted/);
  assert.match(await t.page.textContent('#held'), /Nothing\./);
  assert.match((await t.wire())[1], /^401 .*\n[^]*"code": 40160/);
  await t.page.fill('#client-id', 'a*');
  await t.page.click('#who button');
  await t.happened(/Error 40012/);
  await t.page.fill('#client-id', 'alice');
  await t.page.click('#who button');
  await t.happened(/You are alice/);
  await t.ask('chat:42', ['subscribe'], 'fly');
  await t.happened(/Error 40000/);
  assert.deepEqual(await t.held(), { 'inbox:alice': 'subscribe' });
  await t.ask('chat:42', []);
  await t.happened(/Choose at least one operation/);
  await t.page.goto(`${base}/#%E0%A4%A`);
  await t.happened(/You are alice/);
}, { tolerate: refusedByServer });

await scenario('full', async (t) => {
  await t.open();
  for (let i = 0; i < 90; i++) {
    await t.ask(`chat:${i}-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`, ['subscribe']);
    await t.happened(new RegExp(`(Granted|full\\)) chat:${i}-`));
    if (/\(full\)/.test(await t.page.textContent('#outcome'))) break;
  }
  await t.happened(/Refused \(full\) chat:\d+-\S+ subscribe\. There is no room for it in the cookie\. Give something up first/);
  await t.fits();
  await t.shot('full');
});

await scenario('unavailable, 503 and a dead server (answers played here)', async (t) => {
  await t.open();
  await t.page.route('**/auth?*capability*', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, headers: { ...response.headers(), 'accrue-refused': '{"unavailable":{"chat:7":["subscribe"]}}' } });
  });
  await t.ask('inbox:alice', ['subscribe']);
  await t.happened(/Refused \(unavailable\) chat:7 subscribe\. The check did not answer\. Ask again/);
  await t.page.unroute('**/auth?*capability*');
  await t.page.route('**/auth*', (route) => route.fulfill({ status: 503, contentType: 'application/json', headers: { 'Retry-After': '1' },
    body: '{"error":{"code":50003,"statusCode":503,"message":"try again","href":"https://help.ably.io/error/50003"}}' }));
  await t.chip('chat:42 subscribe');
  await t.happened(/Error 50003 try again/);
  assert.deepEqual(await t.held(), { 'inbox:alice': 'subscribe' });
  await t.page.click('#give-up-all');
  await t.happened(/Error 50003 try again/);
  await t.page.unroute('**/auth*');
  await t.page.route('**/auth*', (route) => route.fulfill({ status: 500, contentType: 'text/html', body: '<h1>oops</h1>' }));
  await t.chip('chat:42 subscribe');
  await t.happened(/Error 500/);
  await t.page.unroute('**/auth*');
  await t.page.route('**/auth*', (route) => route.abort());
  await t.chip('chat:42 subscribe');
  await t.happened(/The server did not answer/);
}, { tolerate: (text) => /status of 50[03]|ERR_FAILED/.test(text) });

await scenario('keyboard only', async (t) => {
  await t.open();
  const { page } = t;
  await page.focus('#resource');
  await page.keyboard.type('chat:9');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await page.keyboard.press('Enter');
  await t.happened(/Granted chat:9 publish, subscribe/);
  for (const selector of ['#client-id', '#resource', '#give-up-all', '#chips button', '#common input', 'summary']) {
    await page.focus(selector);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Tab');
    assert.notEqual(await page.$eval(selector, (node) => getComputedStyle(node).outlineStyle), 'none', `${selector}: focus is visible`);
  }
  const unlabelled = await page.$$eval('input, meter', (all) => all.filter((node) => !node.labels.length).map((node) => node.id));
  assert.deepEqual(unlabelled, []);
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1200, 360]) {
    await scenario(`screenshot ${width} ${colorScheme}`, async (t) => {
      await t.open();
      for (const chip of ['chat:42 subscribe', 'dm:alice:bob publish, subscribe', 'chat:* subscribe']) { await t.chip(chip); await t.happened(new RegExp(`Granted ${chip.replace('*', '\\*')}`)); }
      await t.page.getByRole('button', { name: 'Give up inbox:alice' }).click();
      await t.happened(/comes back/);
      await t.fits();
      await t.shot(`${width}-${colorScheme}-give-up`);
      await t.page.click('summary');
      await t.ask('public:news', ['subscribe', 'publish'], 'history');
      await t.happened(/Granted public:news/);
      await t.fits();
      await t.shot(`${width}-${colorScheme}`);
    }, { colorScheme, viewport: { width, height: 800 } });
  }
}

if (ablyBase) {
  const quiet = (text) => /status of 40[01]|Ably:/.test(text);
  // Plays Ably: tokens carry the capability of their token request, and attaching is judged by it.
  const playAbly = async ({ page }) => {
    let number = 0;
    await page.route('https://cdn.ably.com/lib/ably.min-2.js', (route) => route.fulfill({ path: here('node_modules/ably/build/ably.min.js'), contentType: 'text/javascript' }));
    await page.route(/requestToken/, async (route) => {
      const { capability, clientId } = route.request().postDataJSON() ?? {};
      const token = Buffer.from(JSON.stringify({ capability, clientId })).toString('base64url');
      await route.fulfill({ status: 201, contentType: 'application/json', headers: { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': '*' },
        body: JSON.stringify({ token, keyName: 'x', issued: Date.now(), expires: Date.now() + 3.6e6, capability, clientId }) });
    });
    await page.routeWebSocket(/realtime\.ably\.net/, (ws) => {
      const read = (token) => JSON.parse(Buffer.from(token, 'base64url'));
      let { capability, clientId } = read(new URL(ws.url()).searchParams.get('access_token') ?? new URL(ws.url()).searchParams.get('accessToken'));
      const id = `connection-${++number}`;
      const connected = () => ws.send(JSON.stringify({ action: 4, connectionId: id,
        connectionDetails: { clientId, connectionKey: `${id}-key`, connectionStateTtl: 120000, maxIdleInterval: 60000, maxMessageSize: 65536 } }));
      connected();
      ws.onMessage((text) => {
        const message = JSON.parse(text);
        if (message.action === 17) { ({ capability } = read(message.auth.accessToken)); connected(); }
        if (message.action === 10) {
          const { channel } = message;
          const may = Object.keys(JSON.parse(capability)).some((r) => r === channel || (r.endsWith(':*') && channel.startsWith(r.slice(0, -1))));
          ws.send(JSON.stringify(may ? { action: 11, channel, flags: 0 }
            : { action: 9, channel, error: { code: 40160, statusCode: 401, message: `channel denied access based on given capability; channelId = ${channel}` } }));
        }
      });
    });
  };
  const steps = (t, pattern) => t.page.waitForFunction(([s]) => new RegExp(s).test(document.getElementById('steps').innerText), [pattern.source])
    .catch(async () => assert.match(await t.page.innerText('#steps'), pattern));

  await scenario('with Ably: connect, attach, wish, attach', async (t) => {
    await playAbly(t);
    await t.open();
    await steps(t, /connection: connected/);
    assert.equal(await t.page.textContent('#ably-state'), 'connected');
    assert.equal(await t.page.textContent('#ably-id'), 'connection-1');
    assert.equal(await t.page.isVisible('.offline'), false);
    await t.page.click('#attach button');
    await steps(t, /attach chat:42\n[^]*40160[^]*authorize, wishing for \{"chat:42":\["subscribe"\]\}\n[^]*the new token permits .*chat:42[^]*attached to chat:42$/);
    await t.page.waitForFunction(() => document.getElementById('held').textContent.includes('chat:42'));
    await t.page.click('#attach button');
    await steps(t, /attached to chat:42: the token permits it$/);
    await t.page.fill('#channel', 'private:1');
    await t.page.click('#attach button');
    await steps(t, /private:1 was not granted, so stop here$/);
    assert.equal(await t.page.textContent('#ably-state'), 'connected');
    await t.page.fill('#channel', 'chat:43');
    await t.page.click('#attach button');
    await steps(t, /permits \{"chat:42".*"chat:43".*\n[^]*attached to chat:43$/);
    await t.fits();
    await t.shot('ably-1200-light');
    await t.page.fill('#client-id', 'bob');
    await t.page.click('#who button');
    await steps(t, /connect as bob\n[^]*connection: connected$/);
    assert.equal(await t.page.textContent('#ably-id'), 'connection-2');
    await t.page.click('#reconnect');
    await t.page.waitForFunction(() => document.getElementById('ably-id').textContent === 'connection-3');
  }, { url: ablyBase, tolerate: quiet });

  await scenario('with Ably: narrow and dark', async (t) => {
    await playAbly(t);
    await t.open();
    await steps(t, /connection: connected/);
    await t.page.click('#attach button');
    await steps(t, /attached to chat:42$/);
    await t.fits();
    await t.shot('ably-360-dark');
  }, { url: ablyBase, tolerate: quiet, colorScheme: 'dark', viewport: { width: 360, height: 800 } });

  await scenario('with Ably: ably-js cannot be loaded', async (t) => {
    await t.page.route('https://cdn.ably.com/**', (route) => route.abort());
    await t.open();
    await t.page.waitForFunction(() => /could not be loaded/.test(document.getElementById('ably-state').textContent));
    await t.page.click('#attach button');
    await t.page.click('#reconnect');
    await t.chip('chat:42 subscribe');
    await t.happened(/Granted chat:42/);
    await t.shot('ably-not-loaded');
  }, { url: ablyBase, tolerate: (text) => /ERR_FAILED/.test(text) });
}

await browser.close();
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length ? 1 : 0;
