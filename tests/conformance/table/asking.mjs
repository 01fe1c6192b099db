// All forms of /auth, and what comes back.
import { EXTRA_OPERATIONS, JITTER, JWT_TOKENS, MAIN, NARROW_KEY, NOTHING_GIVEN, SHORT } from './configurations.mjs';

const CHAT = { 'chat:1': ['subscribe'] };
const CHAT_2 = { 'chat:2': ['history'] };
const INBOX = { 'inbox:alice': ['subscribe'] };
const TEXT = JSON.stringify(CHAT);
const OTHER = JSON.stringify(CHAT_2);

const granted = { token: { ...CHAT, ...INBOX }, writes: CHAT };
const given = { token: INBOX };
const remembered = (capability) => ({ token: capability, writes: capability });
const denied = (capability) => ({ ...given, refused: { denied: capability } });
const alice = { by: 'alice' };
const post = { method: 'POST' };
const wish = (capability) => ({ wish: capability });

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ttl = (value) => ({ ...post, json: { ttl: value } });
const lives = (ms) => ({ ...given, ttl: ms });

export const sections = [
  { title: 'forms of asking', config: MAIN, base: alice, rows: [
    ['GET, without a wish', {}, given],
    ['GET, a wish', { query: { capability: TEXT } }, granted],
    ['GET, percent-encoded and with white space', { query: 'capability=%7B%22chat%3A1%22%3A+%5B%20%22subscribe%22%5D%0A%7D' },
      granted],
    ['GET, not encoded more than a browser does', { query: 'capability={%22chat:1%22:[%22subscribe%22]}' }, granted],
    ['GET, with a body, which is not read', { body: '{', type: 'text/plain' }, given],
    ['POST, without a body', post, given],
    ['POST, an empty body of any type', { ...post, body: '', type: 'text/plain' }, given],
    ['POST, a wish in the query', { ...post, query: { capability: TEXT } }, granted],
    ['POST, a form', { ...post, form: { capability: TEXT } }, granted],
    ['POST, a form in a charset',
      { ...post, form: { capability: TEXT }, type: 'application/x-www-form-urlencoded;charset=UTF-8' },
      granted],
    ['POST, JSON with an object', { ...post, json: { capability: CHAT } }, granted],
    ['POST, JSON with a text', { ...post, json: { capability: TEXT } }, granted],
    ['POST, JSON in a charset', { ...post, json: { capability: CHAT }, type: 'application/json; charset=utf-8' },
      granted],
    ['POST, JSON in capitals', { ...post, json: { capability: CHAT }, type: 'Application/JSON' }, granted],
    ['POST, in chunks', { ...post, json: { capability: CHAT }, chunked: true }, granted],
    ['unknown parameters, twice', { query: `rnd=1&rnd=2&timestamp=x&capability=${encodeURIComponent(TEXT)}` }, granted],
    ['unknown members of JSON', { ...post, json: { capability: CHAT, else: [1, { a: null }] } }, granted],
    ['the form beats the query', { ...post, query: { capability: OTHER }, form: { capability: TEXT } }, granted],
    ['JSON beats the query', { ...post, query: { capability: OTHER }, json: { capability: CHAT } }, granted],
    ['what is empty in the form is not there', { ...post, query: { capability: TEXT }, form: { capability: '' } },
      granted],
    ['what is null in JSON is not there', { ...post, query: { capability: TEXT }, json: { capability: null } },
      granted],
    ...['', 'null', 'undefined', '{}'].map((text) =>
      [`capability=${text} is no wish`, { query: { capability: text } }, given]),
    ...[null, '', 'null', {}].map((value) =>
      [`"capability": ${JSON.stringify(value)} is no wish`, { ...post, json: { capability: value } }, given]),
    ['what is given may be wished for, and is not remembered', wish(INBOX), given],
  ] },

  { title: 'capabilities', config: NOTHING_GIVEN, base: alice, rows: [
    ['sorted, and each once', wish({ 'chat:b': ['subscribe', 'publish', 'subscribe'], 'chat:a': ['history'] }),
      remembered({ 'chat:a': ['history'], 'chat:b': ['publish', 'subscribe'] })],
    ['a pattern, as it is permitted', wish({ 'chat:*': ['subscribe'] }), remembered({ 'chat:*': ['subscribe'] })],
    ['a pattern beside what it contains', wish({ 'chat:*': ['subscribe'], 'chat:1': ['subscribe'] }),
      remembered({ 'chat:*': ['subscribe'], 'chat:1': ['subscribe'] })],
    ['a last * contains empty segments', wish({ 'chat::x': ['subscribe'] }), remembered({ 'chat::x': ['subscribe'] })],
    ['all operations, where all are permitted', wish({ 'private:alice:1': ['*'] }),
      remembered({ 'private:alice:1': ['*'] })],
    ['names outside of ASCII', wish({ 'chat:größe': ['subscribe'] }), remembered({ 'chat:größe': ['subscribe'] })],
    ['names outside of ASCII, in JSON', { ...post, json: { capability: { 'chat:größe 😀': ['subscribe'] } } },
      remembered({ 'chat:größe 😀': ['subscribe'] })],
    ['quotes and backslashes', wish({ 'chat:a"b\\c': ['subscribe'] }), remembered({ 'chat:a"b\\c': ['subscribe'] })],
  ] },

  { title: 'wishes that are refused', config: MAIN, base: alice, rows: [
    ['denied, and the rest is granted', wish({ ...CHAT, elsewhere: ['publish'] }),
      { ...granted, refused: { denied: { elsewhere: ['publish'] } } }],
    ['denied, and nothing else was wished for', wish({ elsewhere: ['*'] }), denied({ elsewhere: ['*'] })],
    ['some operations of a resource', wish({ 'chat:1': ['subscribe', 'stats'] }),
      { ...granted, refused: { denied: { 'chat:1': ['stats'] } } }],
    ['more than is given', wish({ 'inbox:alice': ['publish', 'subscribe'] }), denied({ 'inbox:alice': ['publish'] })],
    ['all operations are more than a list of them', wish({ 'chat:1': ['*'] }), denied({ 'chat:1': ['*'] })],
    ['chat:* does not contain chat', wish({ chat: ['subscribe'] }), denied({ chat: ['subscribe'] })],
    ['chat:* is not contained in what is less', wish({ '*': ['subscribe'] }), denied({ '*': ['subscribe'] })],
    ['plain channels are no metachannels', wish({ '[meta]chat:1': ['subscribe'] }),
      denied({ '[meta]chat:1': ['subscribe'] })],
    ['what is another client\'s', wish({ 'private:bob:1': ['publish'] }), denied({ 'private:bob:1': ['publish'] })],
    ['told in ASCII', wish({ 'größe 😀': ['publish'] }),
      { ...given, refused: '{"denied":{"gr\\u00f6\\u00dfe \\ud83d\\ude00":["publish"]}}' }],
    ['told in 512 bytes', wish({ ['x'.repeat(485)]: ['publish'] }),
      { ...given, refused: `{"denied":{"${'x'.repeat(485)}":["publish"]}}` }],
    ['truncated beyond', wish({ ['x'.repeat(486)]: ['publish'] }), { ...given, refused: '{"truncated":true}' }],
    ['a POST is told the same', { ...post, json: { capability: { ...CHAT, elsewhere: ['publish'] } } },
      { ...granted, refused: { denied: { elsewhere: ['publish'] } } }],
  ] },

  { title: 'ttl', config: MAIN, base: alice, rows: [
    ['in the query', { query: { ttl: '60000' } }, lives(MINUTE)],
    ['in a form', { ...post, form: { ttl: '60000' } }, lives(MINUTE)],
    ['in a form, beating the query', { ...post, query: { ttl: '5000' }, form: { ttl: '60000' } }, lives(MINUTE)],
    ...[
      [60_000, MINUTE], ['60000', MINUTE], ['0060000', MINUTE], [3_600_000, HOUR], [3_600_001, HOUR], ['9'.repeat(30),
        HOUR],
      [1000, 1000], [999, 1000], ['1', 1000], [null, HOUR], ['', HOUR], ['undefined', HOUR],
    ].map(([value, ms]) => [`"ttl": ${JSON.stringify(value)} lives ${ms} ms`, ttl(value), lives(ms)]),
    ['"ttl" beyond 64 bits', { ...post, json: `{"ttl":${'9'.repeat(30)}}` }, lives(HOUR)],
  ] },

  { title: 'a shorter ttl is configured', config: SHORT, base: alice, rows: [
    ['nobody asks', {}, lives(5 * MINUTE)],
    ['for more', { query: { ttl: '3600000' } }, lives(5 * MINUTE)],
    ['for less', { query: { ttl: '60000' } }, lives(MINUTE)],
  ] },

  { title: 'jitter', config: JITTER, base: alice, rows: [
    ['shortens what nobody asked for', {}, { ...given, ttl: [0.9 * HOUR, HOUR] }],
    ['shortens nothing else', { query: { ttl: '60000' } }, lives(MINUTE)],
  ] },

  { title: 'clientId', config: NOTHING_GIVEN, base: { wish: CHAT }, rows: [
    ['in camel case', { by: 'alice', query: { clientId: 'alice' } }, remembered(CHAT)],
    ['in snake case', { by: 'alice', query: { client_id: 'alice' } }, remembered(CHAT)],
    ['in both', { by: 'alice', query: { clientId: 'alice', client_id: 'alice' } }, remembered(CHAT)],
    ['in one, the other being empty', { by: 'alice', query: { clientId: '', client_id: 'alice' } }, remembered(CHAT)],
    ['in a form, beating the query', { by: 'alice', ...post, query: { clientId: 'bob' }, form: { clientId: 'alice' } },
      remembered(CHAT)],
    ['in JSON, beating the query', { by: 'alice', ...post, query: { client_id: 'bob' }, json: { client_id: 'alice' } },
      remembered(CHAT)],
    ...['', 'null', 'undefined'].map((id) =>
      [`clientId=${id} is absent`, { by: 'alice', query: { clientId: id } }, remembered(CHAT)]),
    ...['a', 'a b', 'a:b', '"\\', 'a.b@c', 'x'.repeat(256)].map((id) =>
      [`${id.slice(0, 9)} can be one`, { by: id, query: { clientId: id } }, remembered(CHAT)]),
  ] },

  { title: 'tokens as JWTs', config: JWT_TOKENS, base: alice, rows: [
    ['a JWT of what is given', {}, { ...given, format: 'jwt' }],
    ['a JWT of a wish', wish(CHAT), { ...granted, format: 'jwt' }],
    ['a JWT, by POST', { ...post, json: { capability: CHAT, ttl: 60_000 } },
      { ...granted, ttl: MINUTE, format: 'jwt' }],
    ['a JWT beyond what a header can hold becomes a token request', { ...post, json: { capability: many(200) } },
      { token: { ...many(200), ...INBOX }, writes: many(200) }],
    ['errors are the same', { wish: { 'a': ['no such thing'] } }, { error: 40000, says: 'no such thing' }],
  ] },

  { title: 'a key that may do less', config: NARROW_KEY, base: alice, rows: [
    ['nothing goes beyond it', wish({ 'chat:1': ['publish', 'subscribe'], 'private:alice:1': ['*'] }),
      { token: CHAT, writes: CHAT, refused: { denied: { 'chat:1': ['publish'], 'private:alice:1': ['*'] } } }],
    ['not even what is given', {}, { error: 40160 }],
  ] },

  { title: 'operations newer than this build', config: EXTRA_OPERATIONS, base: alice, rows: [
    ['are none of the malformed', wish({ 'chat:1': ['dance'] }), denied({ 'chat:1': ['dance'] })],
    ['and no others', wish({ 'chat:1': ['dancing'] }), { error: 40000, says: 'dancing' }],
  ] },
];

/** Of these many channels, with names that make a JWT too long, and a cookie not. */
function many(count) {
  const names = Array.from({ length: count }, (_, n) => `chat:${n}:a-somewhat-longer-name`);
  return Object.fromEntries(names.map((name) => [name, ['subscribe']]));
}
