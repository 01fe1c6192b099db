import assert from 'node:assert/strict';
import { canonical, now, open, sinceOf, tag } from './grants.mjs';

export const LISTED = ['https://app.example.com', 'http://localhost:3000'];

/** What stands on every answer. */
export function checkUsual({ answer, expected }) {
  assert.equal(answer.header('cache-control'), 'no-store');
  assert.equal(answer.header('vary'), 'Origin, Cookie, Authorization');
  assert.match(answer.header('x-request-id'), expected.requestId ?? /^[\w-]{1,64}$/);
}

/** A listed origin may read every answer, and no other may read any. */
export function checkCors({ headers, answer, expected }) {
  const origins = headers.filter(([name]) => name === 'origin').map(([, value]) => value);
  const isListed = origins.length === 1 && LISTED.includes(origins[0]);
  const allowed = isListed && {
    'access-control-allow-origin': origins[0],
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': 'Accrue-Refused, Accrue-Grant, X-Ably-ErrorCode, X-Ably-ErrorMessage, X-Request-Id',
  };
  const preflight = expected.preflight && {
    'access-control-allow-methods': 'GET, POST, DELETE',
    'access-control-allow-headers': 'authorization, content-type, accrue-grant',
  };
  const there = answer.headers.filter(([name]) => name.startsWith('access-control-'));
  assert.deepEqual(Object.fromEntries(there), { ...allowed, ...preflight });
}

/** Ably's shape, in the body and in headers. */
export function checkError({ method, answer, expected: { error: code, says = '' } }) {
  assert.equal(answer.header('content-type'), 'application/json');
  assert.equal(answer.header('x-ably-errorcode'), String(code));
  const told = answer.header('x-ably-errormessage');
  assert.match(told, /^[ -~]+$/);
  assert.equal(answer.header('retry-after') !== undefined, answer.status === 503, 'Retry-After');
  if (method === 'HEAD') return;
  const { error, ...others } = JSON.parse(answer.text);
  const { message, ...rest } = error;
  assert.deepEqual(others, {});
  assert.deepEqual(rest, { code, statusCode: answer.status, href: `https://help.ably.io/error/${code}` });
  assert.ok(message.includes(says), `${message} says ${says}`);
  if (/^[ -~]+$/.test(message) && message.length <= 512) assert.equal(told, message);
}

/** What was not granted: as an object of reasons, or to the letter. */
export function checkRefused({ answer, expected: { refused } }) {
  const told = answer.header('accrue-refused');
  if (typeof refused !== 'object') return assert.equal(told, refused, 'Accrue-Refused');
  assert.match(told ?? 'none', /^\{[ -~]{1,511}$/);
  const members = Object.entries(refused).map(([reason, what]) => `"${reason}":${canonical(what)}`);
  return assert.equal(told, `{${members.join()}}`);
}

/**
 * Cookies that are set and deleted, as pairs. `writes` is the capability of the one grant that is set; `drops` are those that
 * are deleted: by place among what is held, by name, or what was kept from the request before.
 */
export function checkCookies(all) {
  const { answer, expected, held, carried, cookies, kept, settings } = all;
  const written = answer.values('set-cookie').map(cookie);
  assert.equal(new Set(written.map(({ name }) => name)).size, written.length, 'a name is set or deleted once');
  const { 'max-age': maxAge, ...attributes } = settings.attributes;
  for (const one of written) {
    assert.deepEqual(one.attributes, { ...attributes, 'max-age': one.value ? maxAge : '0' });
    if (one.value) {
      assert.equal(one.name, `${settings.prefix}${tag(one.value)}`);
      assert.ok(one.name.length + one.value.length <= settings.bytes, `${one.value.length} bytes fit`);
      assert.ok(!cookies.some(([name, value]) => name === one.name && value === one.value), 'it is not there already');
    }
  }

  const grants = written.filter(({ value }) => value);
  const writes = carried ? undefined : expected.writes;
  assert.equal(grants.length, writes ? 1 : 0, 'grants that are set');
  if (writes) checkSealed(all, grants[0].value, writes);
  const nameOf = (drop) => (typeof drop === 'number' ? `${settings.prefix}${tag(held[drop])}` : drop);
  const drops = (expected.drops ?? []).flatMap((drop) => (drop === 'kept' ? kept : nameOf(drop)));
  const deleted = written.filter(({ value }) => !value).map(({ name }) => name);
  assert.deepEqual(deleted.sort(), drops.sort(), 'cookies that are deleted');
  return written.map(({ name, value }) => [name, value]);
}

function cookie(text) {
  const [pair, ...attributes] = text.split('; ');
  const parts = (part) => [part.split('=', 1)[0], part.slice(part.split('=', 1)[0].length + 1)];
  const [name, value] = parts(pair);
  return { name, value, attributes: Object.fromEntries(attributes.map(parts).map(([k, v]) => [k.toLowerCase(), v])) };
}

/** `Accrue-Grant`: `keeps` is a capability, 'none', or what of that which was carried comes back, by its place. */
export function checkGrant(all) {
  const { answer, expected, carried } = all;
  const told = answer.header('accrue-grant');
  const { keeps } = expected;
  if (Array.isArray(keeps)) assert.equal(told, keeps.map((n) => carried[n]).join(', '));
  else if (typeof keeps === 'object') checkSealed(all, told, keeps);
  else assert.equal(told, keeps, 'Accrue-Grant');
  return told;
}

/** A grant of this service: of this capability, and counting from now, or from as long ago as one that was shown, by place. */
function checkSealed({ by, expected, cookies, carried = [], secret }, text, capability) {
  assert.deepEqual(canonical(open(text, expected.clientId ?? by, secret)), canonical(capability));
  const since = sinceOf(text);
  const shown = [...carried, ...cookies.map(([, value]) => value)];
  if (expected.since !== undefined) return assert.equal(since, sinceOf(shown[expected.since]), 'since');
  return assert.ok([now(), now() - 5].map(rounded).includes(since), `${since} is now`);
}

/** To a full 5 minutes. */
const rounded = (since) => since - (since % 300);

/** What the application was asked: bodies of questions, or headers that it has to see or must not see. */
export function checkAsked({ expected: { asks = [] } }, calls) {
  assert.equal(calls.length, asks.length, `asked: ${JSON.stringify(calls)}`);
  for (const [n, { body, headers = {}, ...rest }] of asks.entries()) {
    const { method, url } = calls[n];
    assert.deepEqual({ method, url }, rest);
    if (body) assert.deepEqual(JSON.parse(calls[n].body), body);
    for (const [name, value] of Object.entries(headers)) assert.equal(calls[n].headers[name], value, name);
  }
}
