// Where the page and /auth are: on one origin, or on two.
import { Browser, noBrowser, servePage } from './browser.mjs';
import { nginx, noNginx } from './nginx.mjs';
import { world } from './world.mjs';

/** Options of tests that are skipped where what they need is missing. */
export const inChromium = { skip: noBrowser };
export const withNginx = { skip: noBrowser || noNginx };

/**
 * The page and /auth on one origin, behind nginx; alice is signed in. `another` starts one more nginx for them, which
 * gets the same cookies.
 */
export async function oneOrigin(t, options) {
  const all = await world(t, options);
  const page = await servePage(t);
  const another = (lines) => nginx(t, { page, auth: all.accrue.url, ...lines });
  const proxy = await another();
  const browser = await Browser.start(t, all);
  await browser.signIn('alice');
  return { ...all, proxy, another, browser, url: proxy.url };
}

/** The page on `http://localhost` or `http://127.0.0.1`, and /auth on another port of localhost; alice is signed in. */
export async function otherOrigin(t, { host = 'localhost', config } = {}) {
  const url = `http://${host}:${await servePage(t)}`;
  const all = await world(t, { config: { origins: [url], ...config } });
  const browser = await Browser.start(t, all);
  await browser.signIn('alice');
  return { ...all, browser, url, authUrl: `http://localhost:${new URL(all.accrue.url).port}/auth` };
}
