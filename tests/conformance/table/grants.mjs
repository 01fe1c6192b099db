// What a client holds: as cookies and in the header, good and bad, of all ages.
import { grant } from '../support/grants.mjs';
import { replies, says } from '../support/backend.mjs';
import { NEWER, ROTATED, UNKNOWN } from '../support/secrets.mjs';
import { COOKIES } from '../support/conversation.mjs';
import { MAIN, NOTHING_GIVEN, WEBHOOK, cookie } from './configurations.mjs';

const HOUR = 3600;
const ONE = { 'chat:1': ['subscribe'] };
const TWO = { 'chat:2': ['subscribe'] };
const THREE = { 'chat:3': ['subscribe'] };
const BOTH = { ...ONE, ...TWO };
const SECRET_ROOM = { 'elsewhere': ['*'] };
const alice = { by: 'alice' };
const NOTHING = { error: 40160, says: '[given]' };

const one = grant(ONE);
const two = grant(TWO);
const older = grant(TWO, { age: 2 * HOUR });
const ofBob = grant(SECRET_ROOM, { of: 'bob' });

/** Texts that look like alice's grant of something that no rule permits, and are none. */
const BAD = [
  ['another client\'s', ofBob],
  ['another Ably app\'s', grant(SECRET_ROOM, { key: 'other.keyId:the-secret-of-an-ably-key' })],
  ['by a secret of the same name', grant(SECRET_ROOM, { secret: { ...UNKNOWN, kid: 'k1' } })],
  ['from tomorrow', grant(SECRET_ROOM, { age: -24 * HOUR })],
  ['from two minutes ahead', grant(SECRET_ROOM, { age: -120 })],
  ['by an unknown kid', grant(SECRET_ROOM, { secret: UNKNOWN })],
  ['another version', grant(SECRET_ROOM, { head: (head) => head.replace(/^1/, '2') })],
  ['another form', grant(SECRET_ROOM, { head: (head) => head.replace('1j', '1x') })],
  ['deflated, says its head', grant(SECRET_ROOM, { head: (head) => head.replace('1j', '1z') })],
  ['a zero before its age', grant(SECRET_ROOM, { head: (head) => head.replace('.k1.', '.k1.0') })],
  ['not canonical: white space', grant({}, { text: '{"elsewhere": ["*"]}' })],
  ['not canonical: unsorted', grant({}, { text: '{"elsewhere":["subscribe","publish"]}' })],
  ['not canonical: escaped', grant({}, { text: '{"\\u0065lsewhere":["*"]}' })],
  ['empty', grant({})],
  ['no JSON', grant({}, { text: 'elsewhere' })],
  ['an unknown operation', grant({ elsewhere: ['no such thing'] })],
  ['too much, deflated', grant({}, { text: ' '.repeat(1_000_000), deflated: true })],
  ['made younger',
    grant(SECRET_ROOM, { age: 24 * HOUR, after: madeYounger })],
  ['made wider', grant(ONE, { after: widened })],
  ['a digest cut short', grant(SECRET_ROOM, { after: (text) => text.slice(0, -1) })],
  ['a digest changed', grant(SECRET_ROOM, { after: (text) => text.replace(/.{43}$/, 'A'.repeat(43)) })],
  ['a digest with stray bits', grant(SECRET_ROOM, { after: strayBits })],
  ['padded', grant(SECRET_ROOM, { after: (text) => `${text}=` })],
  ['in quotes', grant(SECRET_ROOM, { after: (text) => `"${text}"` })],
  ['percent-encoded', grant(SECRET_ROOM, { after: (text) => text.replace('1j', '%31j') })],
  ['nonsense', 'nonsense'],
  ['nothing but dots', '....'],
];
/** Undefined: not passed on. */
const OF_THE_SERVICE = {
  authorization: 'Bearer what accrue and the backend share', cookie: undefined, 'x-client-id': undefined,
};
const OTHER_NAMES = [
  'accrue.x', '__Secure-accrue.x', '__host-accrue.x', '__Host-accrue', '__Host-accruex', 'x__Host-accrue.x',
];
/** In the header these come back, as another instance may be able to read them. */
const KEPT_IN_THE_HEADER = ['from tomorrow', 'from two minutes ahead', 'by an unknown kid'];

export const sections = [
  { title: 'grants that do not count, as cookies', config: NOTHING_GIVEN, base: alice, rows: BAD.flatMap(([title, text]) => [
    [`${title}: nothing is held`, { holds: [text] }, NOTHING],
    [`${title}: left alone where another counts`, { holds: [text, one] }, { token: ONE }],
  ]) },

  { title: 'grants that do not count, in the header', config: NOTHING_GIVEN, base: alice, rows: BAD.map(([title, text]) => {
    const comesBack = KEPT_IN_THE_HEADER.includes(title);
    return [`${title}: carried beside another`, { carries: [text, one] }, { token: ONE, keeps: comesBack ? [0, 1] : [1] }];
  }) },

  { title: 'grants that count', config: NOTHING_GIVEN, base: alice, rows: [
    ['plain', { holds: [one] }, { token: ONE }],
    ['deflated', { holds: [grant(ONE, { deflated: true })] }, { token: ONE }],
    ['by POST', { method: 'POST', json: {}, holds: [one] }, { token: ONE }],
    ['a clock that is behind by half a minute', { holds: [grant(ONE, { age: -30 })] }, { token: ONE }],
    ['not permitted by rules any more, but fresh', { holds: [grant(SECRET_ROOM)] }, { token: SECRET_ROOM }],
    ['just fresh', { holds: [grant(SECRET_ROOM, { age: 8 * HOUR - 60 })] }, { token: SECRET_ROOM }],
    ['what is held may be wished for', { holds: [one], wish: ONE }, { token: ONE }],
    ['what is new is added, and is as old as the oldest', { holds: [one], wish: TWO },
      { token: BOTH, writes: BOTH, since: 0, drops: [0] }],
    ['a refused wish costs nothing', { holds: [one], wish: SECRET_ROOM },
      { token: ONE, refused: { denied: SECRET_ROOM } }],
    ['several are folded', { holds: [one, older] }, { token: BOTH, writes: BOTH, since: 1, drops: [0, 1] }],
    ['several are folded into one that is there', { holds: [grant({ ...ONE, ...SECRET_ROOM }), one] },
      { token: { ...ONE, ...SECRET_ROOM }, drops: [1] }],
    ['several are folded into what is added', { holds: [one, older], wish: THREE },
      { token: { ...BOTH, ...THREE }, writes: { ...BOTH, ...THREE }, since: 1, drops: [0, 1] }],
    ['equal values count once', { holds: [one], cookies: [['__Host-accrue.else', one]] }, { token: ONE }],
    ['equal values go together', { holds: [one], cookies: [['__Host-accrue.else', one]], wish: TWO },
      { token: BOTH, writes: BOTH, since: 0, drops: [0, '__Host-accrue.else'] }],
    ['the tag is not compared', { cookies: [['__Host-accrue.x', one], ['__Host-accrue.', two]] },
      { token: BOTH, writes: BOTH, since: 0, drops: ['__Host-accrue.x', '__Host-accrue.'] }],
    ['among other cookies', { cookies: [['a', 'b'], ['__Host-accrue.x', one], ['=', ''], ['c', '1=2']] },
      { token: ONE }],
    ['in a field of its own', { headers: { cookie: 'a=b' }, holds: [one] }, { token: ONE }],
    ['another\'s beside it', { holds: [one, ofBob] }, { token: ONE }],
    ...OTHER_NAMES.map((name) =>
      [`${name} is not its name`, { cookies: [[name, one]] }, NOTHING]),
  ] },

  { title: 'grants that are stale', config: NOTHING_GIVEN, base: alice, rows: [
    ['permitted again, it counts from now', { holds: [grant(ONE, { age: 9 * HOUR })] },
      { token: ONE, writes: ONE, drops: [0] }],
    ['denied, it is gone', { holds: [grant(SECRET_ROOM, { age: 9 * HOUR })] }, { error: 40160, drops: [0] }],
    ['denied, the rest stays', { holds: [grant(SECRET_ROOM, { age: 9 * HOUR }), one] }, { token: ONE, drops: [0] }],
    ['denied in part', { holds: [grant({ ...ONE, ...SECRET_ROOM }, { age: 9 * HOUR })] },
      { token: ONE, writes: ONE, drops: [0] }],
    ['just stale', { holds: [grant(SECRET_ROOM, { age: 8 * HOUR + 60 })] }, { error: 40160, drops: [0] }],
    ['carried, permitted again', { carries: [grant(ONE, { age: 9 * HOUR })] }, { token: ONE, keeps: ONE }],
    ['carried, denied', { carries: [grant(SECRET_ROOM, { age: 9 * HOUR }), one] }, { token: ONE, keeps: [1] }],
  ] },

  { title: 'grants and an application that is asked', config: WEBHOOK, base: alice, rows: [
    ['only what is new is asked', { holds: [one], wish: BOTH, backend: says({ granted: TWO }) },
      { token: BOTH, writes: BOTH, since: 0, drops: [0], asks: [asked(TWO, ONE)] }],
    ['nothing new, nobody is asked', { holds: [one], wish: ONE }, { token: ONE }],
    ['an answer goes no further than the question', { wish: ONE, backend: says({ granted: { '*': ['*'] } }) },
      { token: ONE, writes: ONE, asks: [asked(ONE)] }],
    ['while nobody answers a fresh grant counts, for five minutes', { holds: [one], wish: TWO, backend: replies(500) },
      { token: ONE, ttl: 300_000, refused: { unavailable: TWO }, asks: [asked(TWO, ONE)] }],
    ['while nobody answers a stale grant counts, and stays', { holds: [grant(ONE, { age: 9 * HOUR })], backend: replies(500) },
      { token: ONE, ttl: 300_000, asks: [asked(ONE)] }],
    ['while nobody answers a shorter ttl is heeded',
      { holds: [grant(ONE, { age: 9 * HOUR })], query: { ttl: '60000' }, backend: replies(500) },
      { token: ONE, ttl: 60_000, asks: [asked(ONE)] }],
    ['while nobody answers one that is too old counts for nothing',
      { holds: [grant(ONE, { age: 17 * HOUR })], backend: replies(500) },
      { error: 50003, asks: [asked(ONE)] }],
    ['too old, and permitted again', { holds: [grant(ONE, { age: 17 * HOUR })], backend: says({ granted: ONE }) },
      { token: ONE, writes: ONE, drops: [0], asks: [asked(ONE)] }],
    ['denied, and the rest stays', { holds: [grant(TWO, { age: 9 * HOUR }), one], backend: says({ granted: {} }) },
      { token: ONE, drops: [0], asks: [asked(TWO, ONE)] }],
    ['barred, all is given up that is alice\'s',
      { holds: [one, ofBob, grant(TWO, { age: 9 * HOUR })], backend: says({ barred: true }) },
      { error: 40300, drops: [0, 2], asks: [asked(TWO, ONE)] }],
    ['barred, and carried in the header', { carries: [one, grant(TWO, { age: 9 * HOUR })], backend: says({ barred: true }) },
      { error: 40300, keeps: 'none', asks: [asked(TWO, ONE)] }],
    ['nothing of the request is passed on',
      { wish: ONE, headers: { cookie: 'session=1', authorization: 'Bearer x' }, backend: says({ granted: ONE }) },
      { token: ONE, writes: ONE, asks: [{ ...asked(ONE), headers: OF_THE_SERVICE }] }],
  ] },

  { title: 'what the service sealed comes back', config: NOTHING_GIVEN, base: alice, rows: [
    ['as cookies', { wish: ONE }, { token: ONE, writes: ONE }, {}, { token: ONE }],
    ['as cookies, and more is added', { wish: ONE }, { token: ONE, writes: ONE },
      { wish: TWO }, { token: BOTH, writes: BOTH, drops: ['kept'] }, { wish: BOTH }, { token: BOTH }],
    ['as cookies, and is given up', { wish: ONE }, { token: ONE, writes: ONE },
      { method: 'DELETE' }, { status: 204, drops: ['kept'] }, {}, NOTHING],
    ['as cookies, and is nobody else\'s', { wish: ONE }, { token: ONE, writes: ONE }, { by: 'bob' }, NOTHING],
    ['in the header', { wish: ONE, carries: [] }, { token: ONE, keeps: ONE }, { carries: 'kept' },
      { token: ONE, keeps: [0] }],
    ['in the header, and more is added', { wish: ONE, carries: [] }, { token: ONE, keeps: ONE },
      { wish: TWO, carries: 'kept' }, { token: BOTH, keeps: BOTH },
      { wish: BOTH, carries: 'kept' }, { token: BOTH, keeps: [0] }],
    ['in the header, and is given up', { wish: ONE, carries: [] }, { token: ONE, keeps: ONE },
      { method: 'DELETE', carries: 'kept' }, { status: 204, keeps: 'none' },
      { carries: 'kept' }, { ...NOTHING, keeps: 'none' }],
  ] },

  { title: 'the header', config: NOTHING_GIVEN, base: alice, rows: [
    ['none, and something is granted', { wish: ONE, carries: [] }, { token: ONE, keeps: ONE }],
    ['empty is like none', { wish: ONE, carries: [''] }, { token: ONE, keeps: ONE }],
    ['unchanged while nothing changes', { wish: ONE, carries: [one] }, { token: ONE, keeps: [0] }],
    ['several are folded', { carries: [one, older] }, { token: BOTH, keeps: BOTH, since: 1 }],
    ['several in fields of their own', { carries: [older], headers: { 'accrue-grant': one } },
      { token: BOTH, keeps: BOTH, since: 0 }],
    ['cookies are neither read nor written', { wish: TWO, carries: [one], cookies: [['__Host-accrue.x', grant(THREE)]] },
      { token: BOTH, keeps: BOTH, since: 0 }],
    ['too many cookies stay too', { wish: ONE, carries: [], cookies: [['__Host-accrue.x', 'x'.repeat(9000)]] },
      { token: ONE, keeps: ONE }],
    ['a refused wish costs nothing', { wish: SECRET_ROOM, carries: [one] },
      { token: ONE, keeps: [0], refused: { denied: SECRET_ROOM } }],
  ] },

  { title: 'another secret seals now', config: NOTHING_GIVEN, env: { ACCRUE_SECRETS: ROTATED }, secret: NEWER,
    base: alice, rows: [
    ['what the former one sealed is sealed again, and no younger', { holds: [one] },
      { token: ONE, writes: ONE, since: 0, drops: [0] }],
    ['what this one sealed stays', { holds: [grant(ONE, { secret: NEWER })] }, { token: ONE }],
    ['in the header, too', { carries: [one] }, { token: ONE, keeps: ONE, since: 0 }],
  ] },

  { title: 'cookies of pages that are embedded elsewhere', config: cookie('cross_site = true'), base: alice,
    cookies: { attributes: { ...COOKIES.attributes, samesite: 'None', partitioned: '' } },
    rows: [['set', { wish: ONE }, granted()], ['deleted', { method: 'DELETE', holds: [one] }, { status: 204, drops: [0] }]] },
  { title: 'cookies over plain http', config: cookie('secure = false'), base: alice,
    cookies: { prefix: 'accrue.', attributes: { path: '/', httponly: '', samesite: 'Strict', 'max-age': '57600' } },
    rows: [
      ['set without Secure', { wish: ONE }, granted()],
      ['deleted without Secure', { method: 'DELETE', holds: [one] }, { status: 204, drops: [0] }],
      ['the secure name is another', { cookies: [['__Host-accrue.x', one]] },
        { token: { 'inbox:alice': ['subscribe'] } }],
    ] },
  { title: 'cookies of another name and age', config: cookie('name = "grants"\n[grant]\nrecheck_after = "2h"'), base: alice,
    cookies: { prefix: '__Host-grants.', attributes: { ...COOKIES.attributes, 'max-age': '14400' } },
    rows: [
      ['set by that name', { wish: ONE }, granted()],
      ['read by that name', { holds: [one] }, { token: { ...ONE, 'inbox:alice': ['subscribe'] } }],
      ['stale after two hours', { holds: [grant(ONE, { age: 3 * HOUR })] }, { ...granted(), drops: [0] }],
    ] },
  { title: 'what is given', config: MAIN, base: alice, rows: [
    ['is in no grant', { wish: { ...ONE, 'inbox:alice': ['subscribe'] } }, granted()],
    ['is told beside what is held', { holds: [one] }, { token: { ...ONE, 'inbox:alice': ['subscribe'] } }],
    ['is all where nothing is held', { carries: [] }, { token: { 'inbox:alice': ['subscribe'] }, keeps: 'none' }],
  ] },
];

function granted() {
  return { token: { ...ONE, 'inbox:alice': ['subscribe'] }, writes: ONE };
}

function asked(capability, held = {}) {
  return { method: 'POST', url: '/permissions', body: { clientId: 'alice', claims: {}, asked: capability, held } };
}

function madeYounger(text) {
  return text.replace(/\.(\d+)\./, (_, since) => `.${Number(since) + 24 * HOUR}.`);
}

function widened(text) {
  const [form, kid, since, , digest] = text.split('.');
  return [form, kid, since, Buffer.from('{"*":["*"]}').toString('base64url'), digest].join('.');
}

/** 43 characters hold two bits more than a digest. */
function strayBits(text) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.at(-1)) + 1];
}
