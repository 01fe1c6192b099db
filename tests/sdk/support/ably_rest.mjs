import assert from 'node:assert/strict';
import { REVOCABLE, basic, nameOf } from './ably_keys.mjs';

async function post(ably, path, body, headers) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(`http://127.0.0.1:${ably.port}${path}`, { method: 'POST', body: text, headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

export const requestToken = (ably, request, name = request.keyName) =>
  post(ably, `/keys/${name}/requestToken`, request);
export const revokeTokens = (ably, body, headers = basic(REVOCABLE), key = REVOCABLE) =>
  post(ably, `/keys/${nameOf(key)}/revokeTokens`, body, headers);

/** An answer of the REST half is this error, in Ably's shape, and the headers say the same. */
export function assertError({ status, headers, body }, code, statusCode) {
  const { message } = body.error ?? {};
  assert.equal(typeof message, 'string', JSON.stringify(body));
  assert.deepEqual(body, { error: { code, statusCode, message, href: `https://help.ably.io/error/${code}` } });
  assert.equal(status, statusCode);
  assert.equal(headers.get('content-type'), 'application/json');
  assert.equal(headers.get('x-ably-errorcode'), String(code));
  assert.ok(headers.get('x-ably-errormessage'));
}
