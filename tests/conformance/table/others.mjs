// Health, and what every answer is known by.
import { MAIN } from './configurations.mjs';

const OK = { text: 'ok\n' };
const SERVED = { token: { 'inbox:alice': ['subscribe'] } };
const named = (id) => ({ headers: { 'x-request-id': id } });
const KEPT = 'A_b-9'.padEnd(64, 'x');
const ONE_OF_ITS_OWN = /^(?!x+$)[\w-]{8,64}$/;

export const sections = [
  { title: 'health', config: MAIN, rows: [
    ['alive', { path: '/healthz' }, OK],
    ['ready', { path: '/readyz' }, OK],
    ['alive, with a query', { path: '/healthz', query: 'x=1' }, OK],
    ['alive, by HEAD', { method: 'HEAD', path: '/healthz' }, { text: '' }],
    ['ready, by HEAD', { method: 'HEAD', path: '/readyz' }, { text: '' }],
    ['alive for a foreign page, which cannot read it', { path: '/healthz', headers: { origin: 'https://evil.example' } },
      OK],
  ] },
  { title: 'request ids', config: MAIN, rows: [
    ['kept on a token', { by: 'alice', ...named(KEPT) }, { ...SERVED, requestId: new RegExp(`^${KEPT}$`) }],
    ['kept on an error', named(KEPT), { error: 40100, requestId: new RegExp(`^${KEPT}$`) }],
    ['kept on health', { path: '/healthz', ...named('a') }, { ...OK, requestId: /^a$/ }],
    ['none is sent', { by: 'alice' }, { ...SERVED, requestId: ONE_OF_ITS_OWN }],
    ...['', 'a b', 'a.b', 'a"b', 'x'.repeat(65)].map((id) =>
      [`"${id.slice(0, 9)}" is replaced`, { by: 'alice', ...named(id) }, { ...SERVED, requestId: ONE_OF_ITS_OWN }]),
    ['two are replaced', { by: 'alice', ...named(['xx', 'xx']) }, { ...SERVED, requestId: ONE_OF_ITS_OWN }],
  ] },
];
