// Whose page it is, what browsers say of how it calls, and what a page may read.
import { grant } from '../support/grants.mjs';
import { LISTED } from '../support/checks.mjs';
import { MAIN, NOTHING_GIVEN } from './configurations.mjs';

const [APP, LOCAL] = LISTED;
const CHAT = { 'chat:1': ['subscribe'] };
const INBOX = { 'inbox:alice': ['subscribe'] };
const FOREIGN = { error: 40300, says: 'origin' };
const SERVED = { token: INBOX };

const headers = (names) => ({ headers: names });
const at = (host, origin) => headers({ host, origin });
const site = (value, origin) => headers({ 'sec-fetch-site': value, ...(origin && { origin }) });
const preflight = (origin) => ({
  method: 'OPTIONS',
  headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type' },
});
const HELD = [grant(CHAT), grant({ 'chat:2': ['subscribe'] })];
const BOTH = { ...CHAT, 'chat:2': ['subscribe'] };

export const sections = [
  { title: 'own, listed and foreign pages', config: MAIN, base: { by: 'alice' }, rows: [
    ['no page', {}, SERVED],
    ['own, says the browser', site('same-origin'), SERVED],
    ['own, says the browser, whatever the origin', site('same-origin', 'https://elsewhere.example'), SERVED],
    ['typed in, says the browser', site('none'), SERVED],
    ['a sibling, without an origin', site('same-site'), FOREIGN],
    ['another site, without an origin', site('cross-site'), FOREIGN],
    ['an unknown word', site('Same-Origin'), FOREIGN],
    ['two words', headers({ 'sec-fetch-site': ['same-origin', 'same-origin'] }), FOREIGN],
    ['a sibling', site('same-site', 'https://other.example.com'), FOREIGN],
    ['another site', site('cross-site', 'https://evil.example'), FOREIGN],
    ['another site, which is listed', site('cross-site', APP), SERVED],
    ['a sibling, which is listed', site('same-site', APP), SERVED],
    ['the other that is listed', site('cross-site', LOCAL), SERVED],
    ['own, by Host', at('auth.example.com', 'https://auth.example.com'), SERVED],
    ['own, by Host and port', at('auth.example.com:8443', 'https://auth.example.com:8443'), SERVED],
    ['own, by the port of the scheme', at('auth.example.com:443', 'https://auth.example.com'), SERVED],
    ['another port', at('auth.example.com', 'https://auth.example.com:8443'), FOREIGN],
    ['the port of another scheme', at('auth.example.com:80', 'https://auth.example.com'), FOREIGN],
    ['a subdomain', at('auth.example.com', 'https://a.auth.example.com'), FOREIGN],
    ['a parent', at('auth.example.com', 'https://example.com'), FOREIGN],
    ['a name that begins alike', at('auth.example.com', 'https://auth.example.com.evil.example'), FOREIGN],
    ['no name', at('auth.example.com', 'null'), FOREIGN],
    ['an empty name', at('auth.example.com', ''), FOREIGN],
    ['listed, by Origin alone', at('auth.example.com', APP), SERVED],
    ['listed in capitals is not listed', at('auth.example.com', 'https://APP.example.com'), FOREIGN],
    ['listed with its port is not listed', at('auth.example.com', 'https://app.example.com:443'), FOREIGN],
    ['listed with a path is not listed', at('auth.example.com', 'https://app.example.com/'), FOREIGN],
    ['listed with another scheme is not listed', at('auth.example.com', 'http://app.example.com'), FOREIGN],
    ['below one that is listed', at('auth.example.com', 'https://x.app.example.com'), FOREIGN],
    ['a star', at('auth.example.com', '*'), FOREIGN],
    ['listed twice over', at('auth.example.com', [APP, APP]), FOREIGN],
  ] },

  { title: 'a foreign page comes to nothing', config: MAIN,
    base: { headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' } }, rows: [
    ...['GET', 'POST', 'DELETE', 'OPTIONS', 'PUT', 'PATCH'].map((method) =>
      [`${method} is refused before anything is looked at`, { method, query: 'ttl=nonsense', holds: HELD }, FOREIGN]),
    ['HEAD is refused before anything is looked at', { method: 'HEAD', query: 'ttl=nonsense' }, { error: 40300 }],
    ['with a body of any kind', { method: 'POST', body: 'x', type: 'text/plain' }, FOREIGN],
    ['authenticated', { by: 'alice', wish: CHAT }, FOREIGN],
    ['elsewhere there is nothing either', { path: '/elsewhere' }, { error: 40400 }],
  ] },

  { title: 'preflights', config: MAIN, rows: [
    ...LISTED.map((origin) =>
      [`of ${origin}`, preflight(origin), { status: 204, allow: 'GET, POST, DELETE, OPTIONS', preflight: true }]),
    ['of another', preflight('https://evil.example'), FOREIGN],
    ['of no name', preflight('null'), FOREIGN],
    ['of an own page', { method: 'OPTIONS' }, { status: 204, allow: 'GET, POST, DELETE, OPTIONS' }],
    ['nobody loses a cookie by one', { method: 'OPTIONS', query: 'ttl=nonsense', holds: HELD },
      { status: 204, allow: 'GET, POST, DELETE, OPTIONS' }],
  ] },

  { title: 'what a listed page may read', config: MAIN,
    base: { by: 'alice', headers: { origin: APP, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' } }, rows: [
    ['a token and a cookie', { wish: CHAT }, { token: { ...CHAT, ...INBOX }, writes: CHAT }],
    ['what was refused', { wish: { elsewhere: ['publish'] } },
      { ...SERVED, refused: { denied: { elsewhere: ['publish'] } } }],
    ['what it holds', { wish: CHAT, carries: [] }, { token: { ...CHAT, ...INBOX }, keeps: CHAT }],
    ['that something was given up', { method: 'DELETE', holds: HELD }, { status: 204, drops: [0, 1] }],
    ['that it is alive', { path: '/healthz' }, { text: 'ok\n' }],
    ['that there is nothing', { path: '/elsewhere' }, { error: 40400 }],
  ] },

  { title: 'navigations, images and the like', config: NOTHING_GIVEN,
    base: { by: 'alice', holds: HELD, cookies: [['__Host-accrue.large', 'x'.repeat(9000)]] }, rows: [
    ...['navigate', 'no-cors', 'websocket', 'same-site', 'CORS'].flatMap((mode) => [
      [`${mode}: no wish, no side effect`, { wish: { 'chat:3': ['subscribe'] }, headers: { 'sec-fetch-mode': mode } },
        { token: BOTH }],
      [`${mode}: no wish by POST either`,
        { method: 'POST', form: { capability: 'not even read' }, headers: { 'sec-fetch-mode': mode } },
        { token: BOTH }],
      [`${mode}: nothing is given up`, { method: 'DELETE', headers: { 'sec-fetch-mode': mode } }, { status: 204 }],
    ]),
    ['a client without cookies is told what it holds all the same',
      { carries: [HELD[0]], headers: { 'sec-fetch-mode': 'navigate' } },
      { token: CHAT, keeps: [0] }],
    ...['cors', 'same-origin'].map((mode) =>
      [`${mode} is no navigation`,
        { headers: { 'sec-fetch-mode': mode } },
        { token: BOTH, writes: BOTH, since: 0, drops: [0, 1, '__Host-accrue.large'] }]),
  ] },
];
