// Who is calling: a session JWT, a proxy's header, the application, or whoever they say.
import { createHmac } from 'node:crypto';
import { replies, says } from '../support/backend.mjs';
import { grant, now } from '../support/grants.mjs';
import { PROXY_SECRET } from '../support/secrets.mjs';
import { jwt } from '../../sdk/support/jwt.mjs';
import { CLAIMED, FORWARD, MAIN, SESSION_SECRET, session } from './configurations.mjs';

/** A session of these claims, with an hour to go. Numbers under `exp` and `nbf` count from now. */
export function token(claims, { secret = SESSION_SECRET, hash = 'sha256', header = {} } = {}) {
  return () => {
    const at = (seconds) => (typeof seconds === 'number' ? now() + seconds : seconds);
    const { exp = 3600, nbf, reset, ...rest } = claims;
    const payload = { exp: at(exp), nbf: at(nbf), reset: at(reset), ...rest };
    return jwt({ alg: 'HS256', typ: 'JWT', ...header }, payload, (text) => createHmac(hash, secret).update(text).digest());
  };
}

export const bearer = (claims, options) => () => `Bearer ${token(claims, options)()}`;

const ONE = { 'chat:1': ['subscribe'] };
const ALICE = { token: { 'inbox:alice': ['subscribe'] }, clientId: 'alice' };
const BLUE = { ...ALICE, token: { ...ALICE.token, 'team:blue': ['subscribe'] }, writes: { 'team:blue': ['subscribe'] } };
const NOBODY = { error: 40100 };
const alice = bearer({ sub: 'alice' });
const by = (claims, options) => ({ headers: { authorization: bearer(claims, options) } });
const authorization = (value) => ({ headers: { authorization: value } });
const given = (id) => ({ token: { [`inbox:${id}`]: ['subscribe'] }, clientId: id });
const cookie = (value) => ({ cookies: [['a', '1'], ['session', value], ['b', '2']] });
const changed = (change) => () => `Bearer ${change(token({ sub: 'alice' })())}`;
const encoded = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
const claims = () => encoded({ sub: 'bob', exp: now() + 3600 });

const MORE = `
issuer = "https://id.example.com"
audience = "chat"
client_id_claim = "user"
not_before_claim = "reset"
`;

const proxied = (id, secret = PROXY_SECRET) => ({ headers: { 'x-client-id': id, 'x-proxy-secret': secret } });
/** Undefined: not passed on. */
const PASSED_ON = { cookie: 'sid=1', authorization: 'Basic YTpi', 'x-client-id': undefined, 'accrue-grant': undefined };
const whoami = (headers = {}) => [{ method: 'GET', url: '/whoami', headers }];

export const sections = [
  { title: 'a session JWT', config: session(), rows: [
    ['good for an hour', by({ sub: 'alice' }), ALICE],
    ['in small letters', authorization(() => alice().replace('Bearer', 'bearer')), ALICE],
    ['expired half a minute ago', by({ sub: 'alice', exp: -30 }), ALICE],
    ['expired two minutes ago', by({ sub: 'alice', exp: -120 }), NOBODY],
    ['without an end', by({ sub: 'alice', exp: null }), NOBODY],
    ['its end in quotes', by({ sub: 'alice', exp: '9999999999' }), NOBODY],
    ['it begins in half a minute', by({ sub: 'alice', nbf: 30 }), ALICE],
    ['it begins in two minutes', by({ sub: 'alice', nbf: 120 }), NOBODY],
    ['signed with another secret', by({ sub: 'alice' }, { secret: 'another secret, of enough bytes for one' }), NOBODY],
    ['signed with nothing', by({ sub: 'alice' }, { secret: '' }), NOBODY],
    ['by another algorithm', by({ sub: 'alice' }, { hash: 'sha512', header: { alg: 'HS512' } }), NOBODY],
    ['by none', authorization(() => `Bearer ${encoded({ alg: 'none' })}.${claims()}.`), NOBODY],
    ['critical, and not understood', by({ sub: 'alice' }, { header: { crit: ['b64'], b64: false } }), NOBODY],
    ['changed',
      authorization(changed((text) => text.replace(/\.[^.]+/, `.${claims()}`))),
      NOBODY],
    ['cut short', authorization(changed((text) => text.slice(0, -1))), NOBODY],
    ['with a part more', authorization(changed((text) => `${text}.x`)), NOBODY],
    ['padded', authorization(changed((text) => `${text}=`)), NOBODY],
    ['of nobody', by({}), NOBODY],
    ['of a number', by({ sub: 7 }), NOBODY],
    ['outside of ASCII', by({ sub: 'zoë:1' }), { error: 40160 }],
    ['of who can be no client', by({ sub: 'a*' }), { error: 40012 }],
    ['of another than is named', { ...by({ sub: 'alice' }), query: { clientId: 'bob' } }, { error: 40102 }],
    ['in a cookie, where none is configured', cookie(token({ sub: 'alice' })), NOBODY],
    ['a claim fills in rules', { ...by({ sub: 'alice', team: 'blue' }), wish: { 'team:blue': ['subscribe'] } },
      BLUE],
    ['another claim does not', { ...by({ sub: 'alice', team: '*' }), wish: { 'team:blue': ['subscribe'] } },
      { ...ALICE, refused: { denied: { 'team:blue': ['subscribe'] } } }],
  ] },

  { title: 'a session JWT in a cookie', config: session('cookie = "session"'), rows: [
    ['in a cookie', cookie(token({ sub: 'alice' })), ALICE],
    ['Authorization is empty', { ...cookie(token({ sub: 'alice' })), ...authorization('') }, ALICE],
    ['Authorization is -', { ...cookie(token({ sub: 'alice' })), ...authorization('-') }, ALICE],
    ['Authorization decides alone', { ...cookie(token({ sub: 'alice' })), ...by({ sub: 'bob' }) }, given('bob')],
    ['Authorization alone', by({ sub: 'bob' }), given('bob')],
    ['a good cookie makes up for nothing', { ...cookie(token({ sub: 'alice' })), ...by({ sub: 'alice', exp: -3600 }) },
      NOBODY],
    ['nor for Basic', { ...cookie(token({ sub: 'alice' })), ...authorization('Basic YTpi') }, NOBODY],
    ['nor for --', { ...cookie(token({ sub: 'alice' })), ...authorization('--') }, NOBODY],
    ['Authorization twice', authorization([alice, alice]), NOBODY],
    ['the cookie twice, and different',
      { cookies: [['session', token({ sub: 'alice' })], ['session', token({ sub: 'bob' })]] },
      NOBODY],
    ['an expired cookie', cookie(token({ sub: 'alice', exp: -3600 })), NOBODY],
    ['in quotes', cookie(() => `"${token({ sub: 'alice' })()}"`), NOBODY],
    ['of another name', { cookies: [['Session', token({ sub: 'alice' })]] }, NOBODY],
    ['with grants beside it', { ...cookie(token({ sub: 'alice' })), holds: [grant(ONE)] },
      { ...ALICE, token: { ...ALICE.token, ...ONE } }],
  ] },

  { title: 'a session JWT that has to name more', config: session(MORE), rows: [
    ['all of it', by(whole()), ALICE],
    ['several audiences', by(whole({ aud: ['other', 'chat'] })), ALICE],
    ['another issuer', by(whole({ iss: 'https://id.example.com/' })), NOBODY],
    ['no issuer', by(whole({ iss: undefined })), NOBODY],
    ['another audience', by(whole({ aud: 'other' })), NOBODY],
    ['no audience', by(whole({ aud: undefined })), NOBODY],
    ['no such claim', by(whole({ user: undefined, sub: 'alice' })), NOBODY],
    ['what was permitted before its mark is checked again',
      { ...by(whole({ reset: -50 })), holds: [grant({ elsewhere: ['*'] })] },
      { ...ALICE, drops: [0] }],
    ['what was permitted after its mark counts', { ...by(whole({ reset: -2000 })), holds: [grant({ elsewhere: ['*'] })] },
      { ...ALICE, token: { ...ALICE.token, elsewhere: ['*'] } }],
    ['a mark that is no time', by(whole({ reset: 'yesterday' })), NOBODY],
  ] },

  { title: 'a proxy\'s header', config: MAIN, rows: [
    ['with the proxy\'s secret', proxied('alice'), ALICE],
    ['without it', { headers: { 'x-client-id': 'alice' } }, NOBODY],
    ['with another', proxied('alice', 'known to nobody at all'), NOBODY],
    ['with one that begins alike', proxied('alice', `${PROXY_SECRET} `.repeat(2)), NOBODY],
    ['with an empty one', proxied('alice', ''), NOBODY],
    ['with the secret twice', proxied('alice', [PROXY_SECRET, PROXY_SECRET]), NOBODY],
    ['the secret alone', { headers: { 'x-proxy-secret': PROXY_SECRET } }, NOBODY],
    ['two ids', proxied(['alice', 'bob']), NOBODY],
    ['an id twice', proxied(['alice', 'alice']), NOBODY],
    ['who can be no client', proxied('a*'), { error: 40012 }],
    ['behind a proxy',
      { headers: { ...proxied('alice').headers, host: 'auth.example.com', via: '1.1 proxy', 'x-forwarded-for': '192.0.2.1' } },
      ALICE],
  ] },

  { title: 'whoever they say', config: CLAIMED, base: { headers: { host: 'localhost:8080' } }, rows: [
    ['in the query', { query: { clientId: 'alice' } }, ALICE],
    ['in a form', { method: 'POST', form: { client_id: 'alice' } }, ALICE],
    ['in JSON', { method: 'POST', json: { clientId: 'alice' } }, ALICE],
    ['nobody', {}, { error: 40100, says: 'clientId' }],
    ...['LOCALHOST:80', '127.0.0.1', '127.0.0.1:1', '[::1]:9'].map((host) =>
      [`at ${host}`, { query: { clientId: 'alice' }, headers: { host } }, ALICE]),
  ] },

  { title: 'the application says who is calling', config: FORWARD,
    base: { headers: { cookie: 'sid=1', authorization: 'Basic YTpi' } }, rows: [
    ['with a cookie and a header, and nothing else',
      { headers: { 'x-client-id': 'bob', 'accrue-grant': 'none' }, backend: says({ clientId: 'alice' }) },
      { ...ALICE, keeps: 'none', asks: whoami(PASSED_ON) }],
    ['with claims', { wish: { 'team:blue': ['subscribe'] }, backend: says({ clientId: 'alice', claims: { team: 'blue' } }) },
      { ...BLUE, asks: whoami() }],
    ['not signed in', { backend: replies(401) }, { ...NOBODY, asks: whoami() }],
    ['signed in as another', { query: { clientId: 'bob' }, backend: says({ clientId: 'alice' }) },
      { error: 40102, asks: whoami() }],
    ['who can be no client', { backend: says({ clientId: '*' }) }, { error: 40012, asks: whoami() }],
    ['permitted before its mark is checked again',
      { holds: [grant({ elsewhere: ['*'] })], backend: says({ clientId: 'alice', notBefore: now() }) },
      { ...ALICE, drops: [0], asks: whoami() }],
  ] },
];

function whole(claims) {
  return { user: 'alice', iss: 'https://id.example.com', aud: 'chat', ...claims };
}
