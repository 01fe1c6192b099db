import { createHmac } from 'node:crypto';

/** What the application's session tokens are signed with. */
export const SESSION_SECRET = 'what the application signs its sessions with';

/** A session token (RFC 7519, HS256), as an application would make one. */
export function session(clientId, claims = {}) {
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const hs256 = (text) => createHmac('sha256', SESSION_SECRET).update(text).digest();
  return jwt({ alg: 'HS256', typ: 'JWT' }, { sub: clientId, exp, ...claims }, hs256);
}

/** A JWT; `sign` makes the signature of a text. */
export function jwt(header, payload, sign) {
  const text = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign(text).toString('base64url')}`;
}
