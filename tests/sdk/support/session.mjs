import { createHmac } from 'node:crypto';
import { jwt } from './jwt.mjs';

/** What the application's session tokens are signed with. */
export const SESSION_SECRET = 'what the application signs its sessions with';

/** A session token (a JWT, HS256), as an application would make one. */
export function session(clientId) {
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const hs256 = (text) => createHmac('sha256', SESSION_SECRET).update(text).digest();
  return jwt({ alg: 'HS256', typ: 'JWT' }, { sub: clientId, exp }, hs256);
}

/** What a client that has no cookie jar sends to say who it is. */
export const bearer = (clientId) => ({ authorization: `Bearer ${session(clientId)}` });
