// Chromium, launched once for a file of tests, and pages for it that have an unmodified ably-js.
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { listen } from './listen.mjs';
import { session } from './session.mjs';
import { sdkOptions } from './world.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** Why there are no tests in a browser, or false. */
export const noBrowser = !existsSync(CHROMIUM) && `there is no ${CHROMIUM}; CHROMIUM may name another`;

export const ABLY_JS = fileURLToPath(new URL('../node_modules/ably/build/ably.min.js', import.meta.url));
const MODULE = fileURLToPath(new URL('../../../examples/browser/accrue.js', import.meta.url));
const SCRIPTS = { '/ably.min.js': ABLY_JS, '/accrue.js': MODULE };
const PREFIX = '__Host-accrue.';
const PAGE = `<!doctype html>
<title>A page</title>
<link rel="icon" href="data:,">
<script src="/ably.min.js"></script>
<script>
  let client;
  const states = [];
  const messages = [];
  // an error's code would be lost on its way out of the page
  const plain = (error) => error && {
    code: error.code, statusCode: error.statusCode, message: error.message, cause: plain(error.cause),
  };
  const outcome = (promise) => promise.then((value) => ({ value }), (error) => ({ error: plain(error) }));
</script>
`;

let browser;
before(async () => {
  if (noBrowser) return;
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync'];
  // its sandbox does not work for root
  const args = [...(process.getuid() === 0 ? ['--no-sandbox'] : []), '--disable-gpu', ...quiet];
  browser = await chromium.launch({ executablePath: CHROMIUM, args });
});
after(() => browser?.close());

/** A cookie jar and all else of a browser that was never used before. */
export async function newContext(t, options) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  return context;
}

/** Serves the page; gives the port, on which it is `http://localhost` and `http://127.0.0.1`. */
export async function servePage(t) {
  // beyond the 16 KiB of headers that Node takes by default, so that the limits met are nginx's
  const server = createServer({ maxHeaderSize: 64 * 1024 }, ({ url }, response) => {
    const script = SCRIPTS[url];
    if (script) response.setHeader('content-type', 'text/javascript').end(readFileSync(script));
    else response.setHeader('content-type', 'text/html').end(PAGE);
  });
  return listen(t, server);
}

/** Somebody's browser: its tabs share a cookie jar, which is empty at first. */
export class Browser {
  static async start(t, { ably }) {
    return Object.assign(new Browser(), { context: await newContext(t), ably });
  }

  /** The application's session cookie on localhost, as it would set one. */
  signIn(clientId) {
    const cookie = { name: 'session', value: session(clientId), httpOnly: true, secure: true, sameSite: 'Lax' };
    return this.context.addCookies([{ ...cookie, domain: 'localhost', path: '/' }]);
  }

  signOut() {
    return this.context.clearCookies({ name: 'session' });
  }

  /** Puts a grant into the jar, as an answer would have. */
  keep(grant) {
    const name = `${PREFIX}${grant.split('.').at(-1).slice(0, 8)}`;
    const cookie = { name, value: grant, url: 'https://localhost', httpOnly: true, sameSite: 'Strict' };
    return this.context.addCookies([cookie]);
  }

  /** The cookies that hold grants. */
  async grants() {
    return (await this.context.cookies()).filter(({ name }) => name.startsWith(PREFIX));
  }

  /** How it is answered when it opens an address. */
  async status(url) {
    const page = await this.context.newPage();
    const response = await page.goto(url);
    return response.status();
  }

  async open(url) {
    const tab = new Tab(await this.context.newPage(), this.ably);
    const response = await tab.page.goto(url);
    if (!response.ok()) throw new Error(`${url}: ${response.status()}`);
    return tab;
  }
}

class Tab {
  /** What its console says is wrong. */
  errors = [];

  constructor(page, ably) {
    Object.assign(this, { page, ably });
    page.on('console', (message) => message.type() === 'error' && this.errors.push(message.text()));
    page.on('pageerror', (error) => this.errors.push(String(error)));
  }

  /** A script of the page's own, if there is one. */
  async run(content) {
    if (content) await this.page.addScriptTag({ content });
  }

  /** Makes the client, with the page's `authCallback` if it has one. Waits until it is connected, or knows why not. */
  connect(options) {
    return this.#ask((options) => {
      client = new Ably.Realtime({ ...options, authCallback: window.authCallback });
      client.connection.on(({ current }) => states.push(current));
      return outcome(new Promise((resolve, reject) => {
        client.connection.once('connected', () => resolve(client.connection.id));
        client.connection.once(['disconnected', 'failed'], ({ reason }) => reject(reason));
      }));
    }, { ...sdkOptions(this.ably.port), ...options });
  }

  attach(channel) {
    return this.#ask((channel) => outcome(client.channels.get(channel).attach().then(() => {})), channel);
  }

  /** Wishes for a capability; gives what the token has. */
  authorize(capability) {
    return this.#ask((capability) => {
      const token = client.auth.authorize({ capability });
      return outcome(token.then((details) => JSON.parse(details.capability)));
    }, capability);
  }

  /** Keeps the messages of a channel in `messages`. */
  listen(channel) {
    return this.#ask((channel) => {
      const attached = client.channels.get(channel).subscribe(({ data }) => messages.push(data));
      return outcome(attached.then(() => {}));
    }, channel);
  }

  messages() {
    return this.page.evaluate(() => messages);
  }

  /** The client: all states of its connection, the last one's id and error, and what its token is good for. */
  client() {
    return this.page.evaluate(() => {
      const { connection: { id, state, errorReason }, auth: { tokenDetails } } = client;
      // there is no token while it is renewed
      const capability = JSON.parse(tokenDetails?.capability ?? '{}');
      return { states, state, id, error: plain(errorReason), clientId: tokenDetails?.clientId, capability };
    });
  }

  async #ask(act, argument) {
    const { value, error } = await this.page.evaluate(act, argument);
    if (error) throw Object.assign(new Error(error.message), error);
    return value;
  }
}
