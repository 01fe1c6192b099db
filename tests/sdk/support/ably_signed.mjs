// What an application signs with a key: token requests and JWTs.
import { createHmac } from 'node:crypto';
import { KEY, nameOf, secretOf } from './ably_keys.mjs';
import { jwt as signedJwt } from './jwt.mjs';
import { NOW } from './time.mjs';

export const NONCE = '0123456789abcdef';
const hmac = (secret, text, encoding) => createHmac('sha256', secret).update(text).digest(encoding);

/** A TokenRequest, signed (docs: api/token-request-spec#hmac); undefined leaves a member out. */
export function tokenRequest(members = {}, key = KEY) {
  const all = { keyName: nameOf(key), timestamp: NOW, nonce: NONCE, ...members };
  const lines = [all.keyName, all.ttl || '', all.capability, all.clientId, all.timestamp, all.nonce];
  const mac = hmac(secretOf(key), lines.map((line) => `${line ?? ''}\n`).join(''), 'base64');
  return { ...all, mac };
}

/** A JWT for Ably (docs: auth/token/jwt); undefined leaves a claim or header out. */
export function jwt(claims = {}, key = KEY, header = {}) {
  const iat = NOW / 1000;
  const hs256 = (text) => hmac(secretOf(key), text);
  const payload = { iat, exp: iat + 3600, ...claims };
  return signedJwt({ alg: 'HS256', typ: 'JWT', kid: nameOf(key), ...header }, payload, hs256);
}

/** The claims of a JWT for this capability and client. */
export const grant = (capability, clientId) =>
  ({ 'x-ably-capability': JSON.stringify(capability), 'x-ably-clientId': clientId });
export const ALL = { '*': ['*'] };
