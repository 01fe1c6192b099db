import { createHmac } from 'node:crypto';

/** What the application's session tokens are signed with. */
export const SESSION_SECRET = 'what the application signs its sessions with';

/** A session token (RFC 7519, HS256), as an application would make one. */
export function session(clientId, claims = {}) {
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const [header, payload] = [{ alg: 'HS256', typ: 'JWT' }, { sub: clientId, exp, ...claims }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
  const signature = createHmac('sha256', SESSION_SECRET).update(`${header}.${payload}`).digest('base64url');
  return `${header}.${payload}.${signature}`;
}
