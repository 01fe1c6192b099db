// Every row of the contract's table of errors. `pages`: a page of a listed origin is told the same, and may read it.
import { hangs, replies, says } from '../support/backend.mjs';
import { CLAIMED, FORWARD, MAIN, NOTHING_GIVEN, WEBHOOK, session } from './configurations.mjs';

const CHAT = { 'chat:1': ['subscribe'] };
const post = { method: 'POST' };
const text = (capability) => ({ query: { capability } });
const json = (body) => ({ ...post, json: body });
const form = (body) => ({ ...post, form: body });
const malformed = (where) => ({ error: 40000, says: where });

const notAllowed = (allow) => ({ error: 40500, says: allow, allow });
const ASKED = { method: 'POST', url: '/permissions', body: { clientId: 'alice', claims: {}, asked: CHAT, held: {} } };

export const sections = [
  { title: '400 / 40000, malformed', config: MAIN, base: { by: 'alice' }, pages: true, rows: [
    ['no JSON', text('chat:1'), malformed('capability: not valid JSON')],
    ['no object', text('[]'), malformed('capability: not a JSON object')],
    ['no list of operations', text('{"chat:1":"subscribe"}'), malformed('resource "chat:1"')],
    ['no operations', text('{"chat:1":[]}'), malformed('resource "chat:1"')],
    ['an unknown operation', text('{"chat:1":["subscrib"]}'), malformed('did you mean "subscribe"')],
    ['all operations and one', text('{"chat:1":["*","publish"]}'), malformed('resource "chat:1"')],
    ['an empty resource', text('{"":["publish"]}'), malformed('resource ""')],
    ['a resource that starts with a colon', text('{":a":["publish"]}'), malformed('resource ":a"')],
    ['a resource that starts with a comma', text('{",a":["publish"]}'), malformed('resource ",a"')],
    ['a resource that starts with white space', text('{" a":["publish"]}'), malformed('resource " a"')],
    ['a resource with a control character', text('{"a\\u0000":["publish"]}'), malformed('resource')],
    ['an unknown qualifier', text('{"[log]a":["publish"]}'), malformed('[meta], [queue] and [*]')],
    ['a resource twice', text('{"a":["publish"],"a":["publish"]}'), malformed('"a" stands twice')],
    ['a Python dict', text("{'chat:1': ['subscribe']}"), malformed('json.dumps')],
    ['a capability twice', { query: 'capability=%7B%7D&capability=%7B%7D' },
      malformed('query: capability stands twice')],
    ['a clientId twice', { query: 'clientId=alice&clientId=alice' }, malformed('query: clientId stands twice')],
    ['a ttl twice, once empty', { query: 'ttl=&ttl=5' }, malformed('query: ttl stands twice')],
    ['a ttl twice in the form', form('ttl=5000&ttl=5000'), malformed('form: ttl stands twice')],
    ['two clientIds', { query: 'clientId=alice&client_id=bob' }, malformed('clientId and client_id differ')],
    ['two clientIds in the form', form('clientId=alice&client_id=bob'), malformed('clientId and client_id differ')],
    ['two clientIds in JSON', json({ clientId: 'alice', client_id: 'bob' }),
      malformed('clientId and client_id differ')],
    ['not UTF-8 in the query', { query: 'clientId=%FF' }, malformed('query: clientId is not UTF-8')],
    ['not UTF-8 in the form', form('capability=%FF'), malformed('form: capability is not UTF-8')],
    ['JSON that breaks off', json('{'), malformed('body: not valid JSON')],
    ['JSON that goes on', json('{} {}'), malformed('body: not valid JSON')],
    ['JSON without an object', json('[]'), malformed('body: not a JSON object')],
    ['JSON with a member twice', json('{"ttl":1,"ttl":1}'), malformed('"ttl" stands twice')],
    ['JSON with a member twice, further in', json('{"else":{"a":1,"a":1}}'), malformed('"a" stands twice')],
    ['JSON with a resource twice', json('{"capability":{"a":["publish"],"a":["publish"]}}'),
      malformed('"a" stands twice')],
    ['JSON with a list as capability', json({ capability: ['chat:1'] }), malformed('capability: not a JSON object')],
    ['JSON with a number as capability', json({ capability: 7 }), malformed('capability: not a JSON object')],
    ['a name outside of ASCII', text('{"größe\\n😀":["publish"]}'), malformed('resource')],
    ['a wish to give up', { method: 'DELETE', ...text('{') }, malformed('capability: not valid JSON')],
  ] },

  { title: '400 / 40003, ttl', config: MAIN, base: { by: 'alice' }, pages: true, rows: [
    ...['0', '00', '-1', '1.5', '1e3', '+5', '1h', '0x10', ' 5', 'five', '[]'].map((ttl) =>
      [`ttl=${ttl}`, { query: { ttl } }, { error: 40003, says: 'ttl' }]),
    ...['0', '-1', '1.5', '1e3', 'true', '[5]', '{}', '"1h"'].map((ttl) =>
      [`"ttl": ${ttl}`, json(`{"ttl":${ttl}}`), { error: 40003, says: 'ttl' }]),
  ] },

  { title: '400 / 40012, clientId', config: MAIN, base: { by: 'alice' }, pages: true, rows: [
    ...[
      ['a star', '*'], ['a star inside', 'a*'], ['a line break', 'a\nb'], ['a control character', '\u007f'],
      ['a line separator', 'a\u2028b'], ['257 bytes', 'x'.repeat(257)], ['258 bytes in fewer characters',
        'é'.repeat(129)],
    ].map(([title, id]) => [title, { query: { clientId: id } }, { error: 40012, says: 'clientId' }]),
    ...[7, ['alice'], true].map((id) =>
      [`"clientId": ${JSON.stringify(id)}`, json({ clientId: id }), { error: 40012, says: 'clientId' }]),
    ['a star, in snake case', { query: { client_id: '*' } }, { error: 40012, says: 'clientId' }],
  ] },

  { title: '401 / 40102, another clientId', config: MAIN, base: { by: 'alice', wish: CHAT }, pages: true, rows: [
    ...['bob', 'Alice', 'alice ', 'alicé'].map((id) =>
      [`${id} is not alice`, { query: { clientId: id } }, { error: 40102, says: 'clientId' }]),
    ['in the other case', { query: { client_id: 'bob' } }, { error: 40102 }],
    ['in a form', form({ clientId: 'bob' }), { error: 40102 }],
    ['in JSON', json({ client_id: 'bob' }), { error: 40102 }],
    ['giving up', { method: 'DELETE', query: { clientId: 'bob' } }, { error: 40102 }],
  ] },

  { title: '401 / 40160, nothing to grant', config: NOTHING_GIVEN, base: { by: 'alice' }, pages: true, rows: [
    ['nothing is wished for', {}, { error: 40160, says: '[given]' }],
    ['nothing is wished for, by POST', post, { error: 40160, says: 'capability' }],
    ['all is denied', { wish: { elsewhere: ['publish'] } },
      { error: 40160, refused: { denied: { elsewhere: ['publish'] } } }],
    ['a client without cookies is told no grant', { carries: [], wish: { elsewhere: ['publish'] } },
      { error: 40160, refused: { denied: { elsewhere: ['publish'] } }, keeps: 'none' }],
  ] },

  { title: '404, 405, 415', config: MAIN, base: { by: 'alice' }, pages: true, rows: [
    ['the root', { path: '/' }, { error: 40400, says: '/auth' }],
    ['a path behind', { path: '/auth/' }, { error: 40400 }],
    ['another case', { path: '/Auth' }, { error: 40400 }],
    ['elsewhere', { path: '/token', ...post }, { error: 40400 }],
    ['a preflight of elsewhere', { path: '/token', method: 'OPTIONS' }, { error: 40400 }],
    ['PUT', { method: 'PUT' }, notAllowed('GET, POST, DELETE, OPTIONS')],
    ['PATCH', { method: 'PATCH' }, notAllowed('GET, POST, DELETE, OPTIONS')],
    ['HEAD', { method: 'HEAD' }, { error: 40500, allow: 'GET, POST, DELETE, OPTIONS' }],
    ['POST to health', { ...post, path: '/healthz' }, notAllowed('GET, HEAD')],
    ['DELETE of readiness', { method: 'DELETE', path: '/readyz' }, notAllowed('GET, HEAD')],
    ['text', { ...post, body: 'ttl=5000', type: 'text/plain' }, { error: 41500, says: 'application/json' }],
    ['several parts', { ...post, body: '--x--', type: 'multipart/form-data; boundary=x' }, { error: 41500 }],
    ['almost JSON', { ...post, body: '{}', type: 'application/json+x' }, { error: 41500 }],
    ['no type', { ...post, body: '{}' }, { error: 41500 }],
    ['packed', { ...form({ ttl: '5000' }), headers: { 'content-encoding': 'gzip' } }, { error: 41500 }],
    ['text to give up', { method: 'DELETE', body: 'x', type: 'text/plain' }, { error: 41500 }],
  ] },

  { title: '401 / 40100, not authenticated', config: MAIN, base: { wish: CHAT }, pages: true, rows: [
    ['nobody', {}, { error: 40100, says: 'sign in' }],
    ['nobody, by POST', post, { error: 40100, says: 'sign in' }],
    ['nobody, giving up', { method: 'DELETE' }, { error: 40100, says: 'sign in' }],
    ['somebody who says so', { query: { clientId: 'alice' } }, { error: 40100 }],
  ] },

  { title: '401 / 40100, by session', config: session('cookie = "session"'), base: { wish: CHAT }, pages: true, rows: [
    ['no session', {}, { error: 40100, says: 'sign in' }],
    ['nonsense', { headers: { authorization: 'Bearer nonsense' } }, { error: 40100, says: 'sign in' }],
    ['nonsense in a cookie', { cookies: [['session', 'nonsense']] }, { error: 40100, says: 'sign in' }],
    ['a password', { headers: { authorization: 'Basic YTpi' } }, { error: 40100, says: 'sign in' }],
  ] },

  { title: '421, where everybody is believed', config: CLAIMED, base: { query: { clientId: 'alice' } }, rows: [
    ...['accrue.example.com', 'localhost.example.com', '127.0.0.2', '127.0.0.1.nip.io:8080'].map((host) =>
      [`at ${host}`, { headers: { host } }, { error: 42100, says: 'localhost' }]),
    ...Object.entries({
      forwarded: 'for=192.0.2.1', via: '1.1 proxy', 'x-forwarded-for': '192.0.2.1', 'x-real-ip': '192.0.2.1',
    }).map(([name, value]) =>
      [`behind a proxy that sends ${name}`,
        { headers: { host: 'localhost', [name]: value } }, { error: 42100, says: 'localhost' }]),
    ['health, too', { path: '/healthz', query: '', headers: { host: 'accrue.example.com' } }, { error: 42100 }],
  ] },

  { title: '403 / 40300 and 503 / 50003, by what the application says', config: WEBHOOK,
    base: { by: 'alice', wish: CHAT }, pages: true, rows: [
    ['barred', { backend: says({ barred: true }) }, { error: 40300, says: 'barred', asks: [ASKED] }],
    ['barred and granted is barred', { backend: says({ barred: true, granted: CHAT }) },
      { error: 40300, asks: [ASKED] }],
    ['denied', { backend: says({ granted: {} }) }, { error: 40160, refused: { denied: CHAT }, asks: [ASKED] }],
    ...[
      ['an error', replies(500)], ['nobody there', replies(404)], ['not authorised', replies(401)], ['forbidden',
        replies(403)],
      ['elsewhere', replies(307, '', { location: '/elsewhere' })], ['elsewhere, by GET',
        replies(302, '', { location: '/elsewhere' })],
      ['nothing', replies(204)], ['no JSON', replies(200, 'granted')], ['JSON of another shape',
        says({ allowed: CHAT })],
      ['an unknown operation', says({ granted: { 'chat:1': ['no such thing'] } })], ['nothing in time', hangs],
      ['too much', says({ granted: CHAT, more: 'x'.repeat(1024 * 1024) })],
    ].map(([title, backend]) =>
      [`${title} is no answer`, { backend }, { error: 50003, says: 'again', refused: { unavailable: CHAT }, asks: [ASKED] }]),
    ['nobody is asked for nothing', { wish: {} }, { error: 40160, says: '[given]' }],
  ] },

  { title: '503 / 50003, where nobody says who is calling', config: FORWARD,
    base: { wish: CHAT, headers: { cookie: 'sid=1' } }, pages: true, rows: [
    ...[
      ['an error', replies(500)], ['forbidden', replies(403)], ['elsewhere',
        replies(302, '', { location: '/elsewhere' })],
      ['no JSON', replies(200, 'alice')], ['nothing in time', hangs],
    ].map(([title, backend]) =>
      [`${title} says nothing`, { backend }, { error: 50003, asks: [{ method: 'GET', url: '/whoami' }] }]),
    ['a part cannot be given up', { method: 'DELETE', backend: replies(500) },
      { error: 50003, asks: [{ method: 'GET', url: '/whoami' }] }],
  ] },
];
