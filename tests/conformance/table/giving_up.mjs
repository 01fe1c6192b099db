// DELETE /auth, in all its forms.
import { grant } from '../support/grants.mjs';
import { MAIN, NOTHING_GIVEN, session, strategy } from './configurations.mjs';
import { bearer } from './who_calls.mjs';

const ONE = { 'chat:1': ['subscribe'] };
const TWO = { 'chat:2': ['subscribe'] };
const BOTH = { ...ONE, ...TWO };
const both = grant(BOTH, { age: 3600 });
const ofBob = grant(TWO, { of: 'bob' });
const DELETE = { method: 'DELETE' };
const gone = (...drops) => ({ status: 204, drops });
const all = { holds: [both, ofBob, 'junk'], cookies: [['session', '1'], ['accrue.plain', '1']] };

export const sections = [
  { title: 'giving up everything', config: MAIN, base: { ...DELETE, ...all }, rows: [
    ['by nobody', {}, gone(0, 1, 2)],
    ['by one of them', { by: 'alice' }, gone(0, 1, 2)],
    ['by somebody else', { by: 'carol' }, gone(0, 1, 2)],
    ['an empty capability is none', { query: { capability: '' } }, gone(0, 1, 2)],
    ['null is none', { query: 'capability=null&rnd=1' }, gone(0, 1, 2)],
    ['null in JSON is none', { json: { capability: null } }, gone(0, 1, 2)],
    ['empty in a form is none', { form: { capability: '' } }, gone(0, 1, 2)],
    ['from an own page', { headers: { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' } }, gone(0, 1, 2)],
    ['from a listed page', { headers: { origin: 'https://app.example.com', 'sec-fetch-site': 'cross-site' } },
      gone(0, 1, 2)],
    ['nothing is held', { holds: [], cookies: [] }, gone()],
    ['more than are ever looked at', { holds: Array.from({ length: 40 }, (_, n) => `junk${n}`) },
      gone(...Array(40).keys())],
    ['in the header', { carries: [both, ofBob] }, { status: 204, keeps: 'none' }],
    ['in the header, where nothing is', { carries: [] }, { status: 204, keeps: 'none' }],
  ] },

  { title: 'giving up a part', config: NOTHING_GIVEN, base: { ...DELETE, by: 'alice', holds: [both, 'junk'] }, rows: [
    ['in the query', { wish: TWO }, { ...gone(0), writes: ONE, since: 0 }],
    ['in a form', { form: { capability: JSON.stringify(TWO) } }, { ...gone(0), writes: ONE, since: 0 }],
    ['in JSON', { json: { capability: TWO } }, { ...gone(0), writes: ONE, since: 0 }],
    ['in JSON, as text', { json: { capability: JSON.stringify(TWO) } }, { ...gone(0), writes: ONE, since: 0 }],
    ['by all operations', { wish: { 'chat:2': ['*'] } }, { ...gone(0), writes: ONE, since: 0 }],
    ['by a pattern', { wish: { 'chat:*': ['subscribe'] } }, gone(0)],
    ['all of it', { wish: BOTH }, gone(0)],
    ['what is not held', { wish: { 'chat:9': ['*'] } }, gone()],
    ['another operation', { wish: { 'chat:1': ['publish'] } }, gone()],
    ['nothing', { wish: {} }, gone()],
    ['by another, whose it is not', { by: 'bob', wish: TWO }, gone()],
    ['by nobody', { by: undefined, wish: TWO }, { error: 40100 }],
    ['in the header', { wish: TWO, carries: [both] }, { status: 204, keeps: ONE, since: 0 }],
    ['in the header, all of it', { wish: BOTH, carries: [both] }, { status: 204, keeps: 'none' }],
    ['in the header, what is not held', { wish: { 'chat:9': ['*'] }, carries: [both] }, { status: 204, keeps: [0] }],
  ] },

  { title: 'giving up, by session', config: session(), base: { ...DELETE, holds: [both] }, rows: [
    ['everything needs no session', {}, gone(0)],
    ['a part does', { wish: TWO }, { error: 40100 }],
    ['a part, with one', { wish: TWO, headers: { authorization: bearer({ sub: 'alice' }) } },
      { ...gone(0), writes: ONE, since: 0, clientId: 'alice' }],
  ] },

  { title: 'giving up, where clients list what they need', config: strategy('client'), base: { ...DELETE, ...all }, rows: [
    ['cookies from before go', {}, gone(0, 1, 2)],
  ] },
];
