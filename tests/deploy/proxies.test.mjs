// The proxies that are shown, each with accrue behind it, asked as browsers ask.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as caddy from './support/caddy.mjs';
import { read } from './support/examples.mjs';
import { session } from './support/identity.mjs';
import * as nextjs from './support/nextjs.mjs';
import * as nginx from './support/nginx.mjs';
import { summary } from './support/service.mjs';

const times = (count, make) => Array.from({ length: count }, make);
const channel = () => `team:blue:${randomBytes(16).toString('hex')}`;
const wish = (channels) => Object.fromEntries(channels.map((name) => [name, ['subscribe']]));
const pair = (setCookie) => setCookie.split(';')[0];
const isDeleted = (setCookie) => /; Max-Age=0\b/i.test(setCookie);

/** Alice in her browser, her cookies in her own hands. */
class Alice {
  #session = `session=${session()}`;

  constructor(site) {
    this.site = site;
  }

  get = (target, cookies = []) => this.site.ask(target, { cookies: [this.#session, ...cookies] });
  post = (headers) => this.site.ask('/auth', { method: 'POST', headers, cookies: [this.#session] });

  /** Is granted these channels, while she shows these cookies. */
  async granted(channels, cookies = []) {
    const request = { method: 'POST', cookies: [this.#session, ...cookies], json: { capability: wish(channels) } };
    const answer = await this.site.ask('/auth', request);
    assert.equal(answer.status, 200, answer.shown);
    return answer;
  }

  /** Is granted channels, so many, as if they were the first; gives the cookie. */
  async grant(count) {
    const answer = await this.granted(times(count, channel));
    assert.equal(answer.setCookies.length, 1, answer.shown);
    return pair(answer.setCookies[0]);
  }

  /** So many such cookies. */
  async grants(number, count) {
    const cookies = [];
    while (cookies.length < number) cookies.push(await this.grant(count));
    return cookies;
  }

  /** The bytes of what she sends as cookies. */
  size = (cookies) => [this.#session, ...cookies].join('; ').length;
}

/** What holds behind every proxy. It has `page` at /; `isElsewhere` tells an answer that is not accrue's. */
const CLAIMS = {
  'the page is there': async ({ site, page }) => {
    const answer = await site.ask('/');
    assert.equal(answer.status, 200, answer.shown);
    assert.ok(answer.body.includes(page), answer.shown);
  },

  '/auth grants what the query asks for, in a __Host- cookie, and sets none when that comes back': async ({ site }) => {
    const alice = new Alice(site);
    const name = channel();
    const target = `/auth?capability=${encodeURIComponent(JSON.stringify(wish([name])))}`;
    const first = await alice.get(target);
    assert.equal(first.status, 200, first.shown);
    assert.ok(Object.hasOwn(first.capability, name), first.shown);
    assert.match(first.setCookies[0] ?? '', /^__Host-accrue\.[\w-]{8}=1[jz]\.k1\..*; Secure/, first.shown);
    assert.match(first.setCookies[0], /; HttpOnly/);
    const second = await alice.get(target, [pair(first.setCookies[0])]);
    assert.deepEqual([second.status, second.setCookies], [200, []], second.shown);
  },

  // without Sec-Fetch-Site, what counts is whether Host is passed on
  "the page's own origin is let in; foreign ones, siblings and cross-site requests are not": async ({ site }) => {
    const alice = new Alice(site);
    const sibling = `${new URL(site.origin).protocol}//sibling.example.com`;
    const cases = [
      [200, { origin: site.origin }],
      [403, { origin: 'https://evil.example' }],
      [403, { origin: sibling }],
      [403, { 'sec-fetch-site': 'cross-site' }],
    ];
    for (const [status, headers] of cases) {
      const answer = await alice.post(headers);
      assert.equal(answer.status, status, `${JSON.stringify(headers)}: ${answer.shown}`);
    }
  },

  '/metrics, /revoke, /readyz and what is below /auth do not lead to accrue': async ({ site, isElsewhere }) => {
    for (const target of ['/metrics', '/auth/metrics', '/readyz']) {
      const answer = await site.ask(target);
      assert.ok(isElsewhere(answer), `${target}: ${answer.shown}`);
    }
    const answer = await site.ask('/revoke', { method: 'POST', json: { clientId: 'alice' } });
    assert.ok(isElsewhere(answer), `/revoke: ${answer.shown}`);
  },

  'two cookies become one: an answer sets it, and deletes them': async ({ site }) => {
    const alice = new Alice(site);
    const { setCookies } = await alice.granted([channel()], await alice.grants(2, 1));
    assert.deepEqual(setCookies.map(isDeleted).sort(), [false, true, true], setCookies.join('\n'));
  },

  'three large cookies and a session, more than 8k, arrive': async ({ site }) => {
    const alice = new Alice(site);
    // 93 such names fit a cookie
    const large = await alice.grants(3, 120);
    for (const { length } of large) assert.ok(length > 2500 && length <= 2560, `a cookie of ${length} bytes`);
    assert.ok(alice.size(large) > 8192, `${alice.size(large)} bytes prove nothing`);
    const answer = await alice.get('/auth', large);
    assert.equal(answer.status, 200, answer.shown);
    const count = Object.keys(answer.capability).length;
    assert.ok(count >= 3 * 80, `${count} channels`);
  },

  'an answer that sets a large cookie and deletes 15, more than 4k, comes back': async ({ site }) => {
    const alice = new Alice(site);
    const small = await alice.grants(15, 1);
    const answer = await alice.granted(times(120, channel), small);
    assert.equal(answer.setCookies.length, 16, answer.shown);
    assert.ok(answer.head.length > 4096, `${answer.head.length} bytes prove nothing`);
  },
};

async function prove(t, proxy) {
  for (const [title, claim] of Object.entries(CLAIMS)) await t.test(title, () => claim(proxy));
}

test('behind nginx', { skip: nginx.skip }, async (t) => {
  const proxy = await nginx.startNginx(t);
  await prove(t, proxy);
  await t.test('who comes by plain http is sent to https', async () => {
    const answer = await proxy.plain.ask('/chat');
    assert.equal(answer.status, 301, answer.shown);
    assert.match(answer.head, /^Location: https:\/\/app\.example\.com\/chat\r$/m);
  });
});

test('behind Caddy', { skip: caddy.skip }, async (t) => {
  const { http2, ...proxy } = await caddy.startCaddy(t);
  await t.test('over HTTP/1.1', (t) => prove(t, proxy));
  await t.test('over HTTP/2', (t) => prove(t, { ...proxy, site: http2 }));
});

test('behind Next.js', { skip: nextjs.skip }, async (t) => prove(t, await nextjs.startNextjs(t)));

const IDLE = { 'nginx.conf': /keepalive_timeout (\d+)s;/, Caddyfile: /keepalive (\d+)s/ };

for (const [name, pattern] of Object.entries(IDLE)) {
  test(`${name} gives up an idle connection before accrue closes it`, (t) => {
    const [, headerTimeout] = / head (\d+)s/.exec(summary(t));
    assert.ok(Number(pattern.exec(read(name))[1]) < Number(headerTimeout));
  });
}
