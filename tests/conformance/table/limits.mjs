// Sizes, at their limits. Heads are not counted to the byte, because what is in between may add to them.
import { createHash } from 'node:crypto';
import { grant } from '../support/grants.mjs';
import { MAIN, NOTHING_GIVEN, cookie } from './configurations.mjs';

const KIB = 1024;
const ONE = { 'chat:1': ['subscribe'] };
const alice = { by: 'alice' };
const post = { method: 'POST' };
const SERVED = { token: { 'inbox:alice': ['subscribe'] } };
const one = grant(ONE);

/** A form of so many bytes. */
const filled = (bytes) => `rnd=${'x'.repeat(bytes - 'rnd='.length)}`;
/** So many characters that do not deflate below six bits each, and others for another seed. */
const noise = (length, seed = '') =>
  Array.from({ length: Math.ceil(length / 43) }, (_, n) => sha256(`${seed}${n}`)).join('').slice(0, length);
const sha256 = (text) => createHash('sha256').update(text).digest('base64url');
const channels = (count) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`chat:${String(n).padStart(4, '0')}`, ['subscribe']]));
const headers = (count) => ({ headers: Object.fromEntries(Array.from({ length: count }, (_, n) => [`x-${n}`, '1'])) });
const junk = (count) => Array.from({ length: count }, (_, n) => [`__Host-accrue.${n}`, `junk${n}`]);
/** Cookies of so many bytes in all, names included: one grant, and one that is none. */
const candidates = (bytes) => {
  const name = '__Host-accrue.junk';
  const others = () => name.length + '__Host-accrue.12345678'.length + one().length;
  return { holds: [one], cookies: [[name, () => 'x'.repeat(bytes - others())]] };
};
const long = (length) => `chat:${noise(length - 'chat:'.length)}`;
const ONE_AND_LONG = { ...ONE, [long(1600)]: ['subscribe'] };

export const sections = [
  { title: 'bodies', config: MAIN, base: { ...alice, ...post }, pages: true, rows: [
    ['64 KiB', { form: filled(64 * KIB) }, SERVED],
    ['64 KiB in chunks', { form: filled(64 * KIB), chunked: true }, SERVED],
    ['a byte more than 64 KiB', { form: filled(64 * KIB + 1) }, { error: 41300, says: '64 KiB' }],
    ['a byte more than 64 KiB in chunks', { form: filled(64 * KIB + 1), chunked: true }, { error: 41300 }],
    ['a byte more than 64 KiB of any type', { body: filled(64 * KIB + 1), type: 'text/plain' }, { error: 41300 }],
    ['a byte more than 64 KiB of JSON', { json: `{"rnd":"${'x'.repeat(64 * KIB)}"}` }, { error: 41300 }],
    ['a byte more than 64 KiB to give up', { method: 'DELETE', form: filled(64 * KIB + 1) }, { error: 41300 }],
  ] },

  { title: 'heads', config: MAIN, base: alice, rows: [
    ['a target of 31 KiB', { query: filled(31 * KIB) }, SERVED],
    ['a target of 33 KiB', { query: filled(33 * KIB) }, { error: 43100, says: 'POST' }],
    ['a header of 31 KiB', { headers: { 'x-large': 'x'.repeat(31 * KIB) } }, SERVED],
    ['a header of 33 KiB', { headers: { 'x-large': 'x'.repeat(33 * KIB) } }, { error: 43100 }],
    ['cookies of 31 KiB', { cookies: [['other', 'x'.repeat(31 * KIB)]] }, SERVED],
    ['cookies of 33 KiB', { cookies: [['other', 'x'.repeat(33 * KIB)]] }, { error: 43100, says: 'cookies' }],
    ['85 headers more', headers(85), SERVED],
    ['101 headers more', headers(101), { error: 43100 }],
    ['101 headers more, from a listed page', { headers: { ...headers(101).headers, origin: 'https://app.example.com' } },
      { error: 43100 }],
  ] },

  { title: 'wishes', config: NOTHING_GIVEN, base: { ...alice, ...post }, rows: [
    ['256 at once', { json: { capability: channels(256) } }, { token: channels(256), writes: channels(256) }],
    ['257 at once', { json: { capability: channels(257) } }, { error: 40000, says: 'at most 256' }],
    ['257 at once in a form', { form: { capability: JSON.stringify(channels(257)) } },
      { error: 40000, says: 'at most 256' }],
    ['a resource of 2048 bytes', { json: { capability: { [`chat:${'x'.repeat(2043)}`]: ['subscribe'] } } },
      { token: { [`chat:${'x'.repeat(2043)}`]: ['subscribe'] }, writes: { [`chat:${'x'.repeat(2043)}`]: ['subscribe'] } }],
    ['a resource of 2049 bytes', { json: { capability: { [`chat:${'x'.repeat(2044)}`]: ['subscribe'] } } },
      { error: 40000, says: 'resource' }],
    ['a resource of 2049 bytes in fewer characters',
      { json: { capability: { [`chat:${'é'.repeat(1022)}`]: ['subscribe'] } } },
      { error: 40000 }],
  ] },

  { title: 'room in a cookie', config: cookie('max_bytes = 512', NOTHING_GIVEN), base: alice, cookies: { bytes: 512 }, rows: [
    ['what fits is granted, and what does not is full', { wish: { 'chat:1': ['subscribe'], [long(460)]: ['subscribe'] } },
      { token: ONE, writes: ONE, refused: { full: { [long(460)]: ['subscribe'] } } }],
    ['nothing fits', { wish: { [long(460)]: ['subscribe'] } },
      { error: 40160, refused: { full: { [long(460)]: ['subscribe'] } } }],
    ['beside what is held',
      { holds: [grant({ [long(250)]: ['subscribe'] })], wish: { [`chat:${noise(300, 'other')}`]: ['subscribe'] } },
      { token: { [long(250)]: ['subscribe'] }, refused: { full: { [`chat:${noise(300, 'other')}`]: ['subscribe'] } } }],
    ['in the header likewise', { carries: [], wish: { 'chat:1': ['subscribe'], [long(460)]: ['subscribe'] } },
      { token: ONE, keeps: ONE, refused: { full: { [long(460)]: ['subscribe'] } } }],
  ] },
  { title: 'the usual room in a cookie', config: NOTHING_GIVEN, base: alice, rows: [
    ['one long name, and not two',
      { wish: { 'chat:1': ['subscribe'], [long(1600)]: ['subscribe'], [`chat:z${noise(1600, 'other')}`]: ['subscribe'] } },
      { token: ONE_AND_LONG, writes: ONE_AND_LONG, refused: '{"truncated":true}' }],
  ] },

  { title: 'grants that are shown', config: NOTHING_GIVEN, base: alice, rows: [
    ['the sixteenth is looked at', { cookies: [...junk(15), ['__Host-accrue.z', one]] }, { token: ONE }],
    ['the seventeenth is not', { cookies: [...junk(16), ['__Host-accrue.z', one]] }, { error: 40160 }],
    ['equal ones count once', { cookies: [...junk(40).map(([name]) => [name, 'junk']), ['__Host-accrue.z', one]] },
      { token: ONE }],
    ['the sixteenth in the header', { carries: [...junk(15).map(([, text]) => text), one] },
      { token: ONE, keeps: [15] }],
    ['the seventeenth in the header is not', { carries: [...junk(16).map(([, text]) => text), one] },
      { error: 40160, keeps: 'none' }],
    ['8 KiB in all are left alone', candidates(8 * KIB), { token: ONE }],
    ['a byte more, and what does not verify goes', candidates(8 * KIB + 1),
      { token: ONE, drops: ['__Host-accrue.junk'] }],
    ['a byte more, and others\' cookies stay',
      { ...candidates(8 * KIB), cookies: [...candidates(8 * KIB).cookies, ['other', 'x'.repeat(9 * KIB)]] },
      { token: ONE }],
    ['nothing held, and too much that does not verify', { cookies: [['__Host-accrue.junk', 'x'.repeat(9000)]] },
      { error: 40160, drops: ['__Host-accrue.junk'] }],
    ['not authenticated, nothing goes', { by: undefined, cookies: [['__Host-accrue.junk', 'x'.repeat(9000)]] },
      { error: 40100 }],
  ] },
];
