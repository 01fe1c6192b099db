// Who remembers. Strategy "cookie" is in all the other sections.
import { grant } from '../support/grants.mjs';
import { replies, says } from '../support/backend.mjs';
import { MAIN, NOTHING_GIVEN, WEBHOOK, strategy } from './configurations.mjs';

const ONE = { 'chat:1': ['subscribe'] };
const TWO = { 'chat:2': ['subscribe'] };
const BOTH = { ...ONE, ...TWO };
const INBOX = { 'inbox:alice': ['subscribe'] };
const alice = { by: 'alice' };
const held = { holds: [grant({ 'chat:9': ['subscribe'] })] };
const ALL = { 'chat:*': ['history', 'publish', 'subscribe'], 'private:alice:*': ['*'], ...INBOX };
const asked = (capability) =>
  [{ method: 'POST', url: '/permissions', body: { clientId: 'alice', claims: {}, asked: capability, held: {} } }];
const DELETE = { method: 'DELETE' };
const GONE = { status: 204 };

export const sections = [
  { title: 'strategy client', config: strategy('client'), base: alice, rows: [
    ['nothing is remembered', { wish: ONE }, { token: { ...ONE, ...INBOX } }],
    ['nothing that is held counts', { ...held, wish: ONE }, { token: { ...ONE, ...INBOX } }],
    ['a wish that is refused', { wish: { ...ONE, elsewhere: ['*'] } },
      { token: { ...ONE, ...INBOX }, refused: { denied: { elsewhere: ['*'] } } }],
    ['nothing in the header either', { wish: ONE, carries: [] }, { token: { ...ONE, ...INBOX }, keeps: 'none' }],
    ['no wish', {}, { token: INBOX }],
    ['a malformed one', { query: { capability: '[]' } }, { error: 40000 }],
  ] },
  { title: 'strategy client and an application that is asked', config: strategy('client', WEBHOOK),
    base: { ...alice, wish: ONE }, rows: [
    ['each time', { backend: says({ granted: ONE }) }, { token: ONE, asks: asked(ONE) }, { backend: says({ granted: ONE }) },
      { token: ONE, asks: asked(ONE) }],
    ['unavailable', { backend: replies(500) }, { error: 50003, refused: { unavailable: ONE }, asks: asked(ONE) }],
  ] },
  { title: 'strategy server', config: strategy('server'), base: alice, rows: [
    ['all that the rules say', {}, { token: ALL }],
    ['wishes are not read', { wish: { elsewhere: ['*'] } }, { token: ALL }],
    ['not even malformed ones', { query: { capability: '[]' } }, { token: ALL }],
    ['nothing that is held counts', held, { token: ALL }],
    ['nothing in the header either', { carries: [] }, { token: ALL, keeps: 'none' }],
    ['a malformed ttl', { query: { ttl: '0' } }, { error: 40003 }],
  ] },
  { title: 'strategy server and an application that is asked', config: strategy('server', WEBHOOK), base: alice, rows: [
    ['everything', { wish: ONE, backend: says({ granted: { 'room:*': ['publish'] } }) },
      { token: { 'room:*': ['publish'] }, asks: asked(null) }],
    ['nothing', { backend: says({ granted: {} }) }, { error: 40160, asks: asked(null) }],
    ['barred', { backend: says({ barred: true }) }, { error: 40300, asks: asked(null) }],
    ['unavailable', { backend: replies(500) }, { error: 50003, asks: asked(null) }],
  ] },
  { title: 'strategy store', config: `${strategy('store', NOTHING_GIVEN)}[store]\nurl = "memory:"\n`, rows: [
    ['what is granted is remembered here', { by: 'a', wish: ONE }, { token: ONE }, { by: 'a' }, { token: ONE }],
    ['for this client only', { by: 'b', wish: ONE }, { token: ONE }, { by: 'c' }, { error: 40160 }],
    ['more is added', { by: 'd', wish: ONE }, { token: ONE }, { by: 'd', wish: TWO }, { token: BOTH }],
    ['a refused wish costs nothing', { by: 'e', wish: ONE }, { token: ONE },
      { by: 'e', wish: { elsewhere: ['*'] } }, { token: ONE, refused: { denied: { elsewhere: ['*'] } } }],
    ['nothing in cookies or in the header', { by: 'alice', ...held }, { error: 40160 },
      { by: 'alice', wish: ONE, carries: [] }, { token: ONE, keeps: 'none' }],
    ['all is given up', { by: 'f', wish: ONE }, { token: ONE }, { by: 'f', ...DELETE }, GONE, { by: 'f' }, { error: 40160 }],
    ['a part is given up', { by: 'g', wish: BOTH }, { token: BOTH }, { by: 'g', ...DELETE, wish: ONE }, GONE,
      { by: 'g' }, { token: TWO }],
    ['nobody gives up anything', { ...DELETE, holds: held.holds }, { error: 40100 }],
    ['cookies from before go', { by: 'h', ...DELETE, ...held }, { ...GONE, drops: [0] }],
    ['ready', { path: '/readyz' }, { text: 'ok\n' }],
  ] },
  { title: 'strategy server without secrets to seal with', config: strategy('server', MAIN), env: { ACCRUE_SECRETS: '' },
    base: alice, rows: [
    ['all that the rules say', {}, { token: ALL }],
  ] },
];
