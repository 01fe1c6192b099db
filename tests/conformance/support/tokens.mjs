// Tokens, as Ably would look at them.
import assert from 'node:assert/strict';
import { Tokens } from '../../sdk/ably/tokens.mjs';
import { nameOf } from '../../sdk/support/ably_keys.mjs';
import { canonical } from './grants.mjs';
import { KEY } from './secrets.mjs';

/** It refuses a wrong mac or signature, a nonce that was there before, and a time that is not now. */
const ably = new Tokens({ keys: [{ key: KEY }] });

/** Just what SDKs accept, for just this capability. `ttl` is a number of ms, or the least and the most. */
export function checkToken({ by, answer, expected }) {
  const { token: capability, format = 'request', ttl = HOUR, clientId = by } = expected;
  assert.equal(answer.header('content-type'), 'application/json');
  const token = JSON.parse(answer.text);
  assert.equal(token.capability, canonical(capability));
  assert.equal(token.clientId, clientId);
  const lives = format === 'jwt' ? checkJwt(token) : checkRequest(token);
  const [least, most] = [ttl].flat();
  assert.ok(lives >= least && lives <= (most ?? least), `${lives} ms, and not ${ttl}`);
}

function checkRequest(token) {
  const members = ['capability', 'clientId', 'keyName', 'mac', 'nonce', 'timestamp', 'ttl'];
  assert.deepEqual(Object.keys(token).sort(), members);
  assert.equal(token.keyName, nameOf(KEY));
  assert.ok(token.nonce.length >= BASE64_OF_128_BITS, token.nonce);
  ably.exchange(token.keyName, token);
  return token.ttl;
}

function checkJwt(details) {
  assert.deepEqual(Object.keys(details).sort(), ['capability', 'clientId', 'expires', 'issued', 'token']);
  const { token, issued, expires, capability, clientId } = details;
  const [header, claims] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString());
  assert.deepEqual(JSON.parse(header), { alg: 'HS256', typ: 'JWT', kid: nameOf(KEY) });
  const [iat, exp] = [issued, expires].map((ms) => Math.floor(ms / 1000));
  const named = { 'x-ably-capability': capability, 'x-ably-clientId': clientId };
  assert.deepEqual(JSON.parse(claims), { iat, exp, ...named });
  assert.ok(token.length <= 7 * 1024);
  ably.read(token);
  return expires - issued;
}

const HOUR = 3_600_000;
const BASE64_OF_128_BITS = 22;
