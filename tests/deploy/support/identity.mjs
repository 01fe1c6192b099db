// The identity provider that accrue.toml names: it signs sessions, and publishes its keys.
import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { jwt } from '../../sdk/support/jwt.mjs';
import { listen } from '../../sdk/support/listen.mjs';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** Its key set (RFC 7517). */
export const JWKS = JSON.stringify({
  keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'RS256', use: 'sig' }],
});

/** Alice's session. With such claims and an RSA signature it is as long as sessions are. */
export function session() {
  const iat = Math.floor(Date.now() / 1000);
  const times = { iat, exp: iat + 3600 };
  const alice = { sub: 'alice', team: 'blue', name: 'Alice of the blue team', email: 'alice@example.com' };
  const claims = { iss: 'https://id.example.com', ...alice, ...times };
  return jwt({ alg: 'RS256', kid: 'one', typ: 'JWT' }, claims, (text) => sign('sha256', Buffer.from(text), privateKey));
}

/** Starts its server on this machine; gives the port. */
export async function publishKeys(t, { cert, key }) {
  const identity = { cert: readFileSync(cert), key: readFileSync(key) };
  return listen(t, createServer(identity, (_, response) => response.end(JWKS)));
}
