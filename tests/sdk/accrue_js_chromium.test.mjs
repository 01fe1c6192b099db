// examples/browser/accrue.js in Chromium, with unmodified ably-js, against `accrue serve`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inChromium, oneOrigin, otherOrigin, withNginx } from './support/origins.mjs';
import { bearer } from './support/session.mjs';
import { until } from './support/until.mjs';

const SUBSCRIBE = ['subscribe'];
const given = { 'inbox:alice': SUBSCRIBE };

/** Opens the page and connects; see `load`. */
async function open(browser, url, ...args) {
  const tab = await browser.open(url);
  await load(tab, ...args);
  return tab;
}

/** Loads the module into the page, and connects with it. With `headers`, these say who calls, without cookies. */
async function load(tab, authUrl = '/auth', headers = undefined) {
  await tab.page.evaluate(async ([url, headers]) => {
    Object.assign(window, await import('/accrue.js'));
    const options = headers ? { carrier: 'header', storage: sessionStorage, headers } : {};
    window.accrue = new Accrue(url, options);
    window.authCallback = accrue.authCallback;
    window.attach = (name) => accrue.attach(client, name).then(({ state }) => state, ({ name }) => name);
  }, [authUrl, headers]);
  await tab.connect();
}

/** What became of it: the channel's state, or the error's name. */
const attach = (tab, channel) => tab.page.evaluate((channel) => window.attach(channel), channel);

test('three tabs that ask at the same moment take turns, and end with one cookie', withNginx, async (t) => {
  const config = { permission: { webhook: { timeout: '15s' } } };
  const { backend, browser, url } = await oneOrigin(t, { config });
  const channels = ['chat:1', 'chat:2', 'chat:3'];
  backend.permitted = Object.fromEntries(channels.map((channel) => [channel, SUBSCRIBE]));
  const tabs = await Promise.all(channels.map(() => open(browser, url)));
  // none gives up waiting, however slow the machine
  for (const tab of tabs) await tab.page.evaluate(() => { AbortSignal.timeout = () => new AbortController().signal; });
  // while one is answered, all others wait: the first answer comes when two do, the last when none does
  backend.ready = () => {
    const others = channels.length - backend.questions.length;
    return until(async () => {
      const { held, pending } = await tabs[0].page.evaluate(() => navigator.locks.query());
      return held.length === 1 && pending.length === others;
    });
  };

  assert.deepEqual(await Promise.all(tabs.map((tab, i) => attach(tab, channels[i]))), Array(3).fill('attached'));
  assert.equal(backend.questions.length, 3);
  assert.equal((await browser.grants()).length, 1);
  const sizes = await Promise.all(tabs.map(async (tab) => Object.keys((await tab.client()).capability).length));
  assert.deepEqual(sizes.sort(), [2, 3, 4], 'each knows what those before it were granted');
  for (const tab of tabs) assert.deepEqual(tab.errors, []);

  const another = await open(browser, url);
  assert.deepEqual((await another.client()).capability, { ...backend.permitted, ...given });
  await another.page.evaluate(() => accrue.giveUp());
  assert.deepEqual(await browser.grants(), []);
});

test('a page says why it can not show a channel, and shows it once it can', withNginx, async (t) => {
  const { backend, browser, url } = await oneOrigin(t);
  const tab = await open(browser, url);
  const say = () => tab.page.evaluate(async () => {
    try {
      const channel = await accrue.attach(client, 'chat:1');
      document.body.textContent = `You are in ${channel.name}.`;
    } catch (error) {
      if (error instanceof Denied) document.body.textContent = 'This chat is not yours.';
      else if (error instanceof Unavailable) document.body.textContent = 'Please try again in a minute.';
      else throw error;
    }
    return document.body.innerText;
  });
  assert.equal(await say(), 'This chat is not yours.');
  backend.isDown = true;
  assert.equal(await say(), 'Please try again in a minute.');
  backend.isDown = false;
  backend.permitted = { 'chat:1': SUBSCRIBE };
  assert.equal(await say(), 'You are in chat:1.');
});

test('a page of another site needs no cookies, and what it holds survives a reload', inChromium, async (t) => {
  const { backend, browser, url, authUrl } = await otherOrigin(t, { host: '127.0.0.1' });
  const headers = bearer('alice');
  backend.permitted = { 'chat:1': SUBSCRIBE, 'chat:2': SUBSCRIBE };

  const tab = await open(browser, url, authUrl, headers);
  assert.equal(await attach(tab, 'chat:1'), 'attached');
  assert.equal(await attach(tab, 'secret:1'), 'Denied');
  backend.isDown = true;
  assert.equal(await attach(tab, 'chat:2'), 'Unavailable', 'the reason can be read from another origin');
  backend.isDown = false;

  await tab.page.reload();
  await load(tab, authUrl, headers);
  assert.deepEqual((await tab.client()).capability, { 'chat:1': SUBSCRIBE, ...given });
  assert.equal(await attach(tab, 'chat:1'), 'attached');
  assert.equal(await attach(tab, 'chat:2'), 'attached');
  const asked = backend.questions.flatMap((question) => Object.keys(question.asked));
  assert.deepEqual(asked, ['chat:1', 'secret:1', 'chat:2', 'chat:2']);
  assert.deepEqual(await browser.grants(), []);
  assert.deepEqual(tab.errors, []);

  await tab.page.evaluate(() => accrue.giveUp());
  await tab.page.reload();
  await load(tab, authUrl, headers);
  assert.deepEqual((await tab.client()).capability, given);
});
