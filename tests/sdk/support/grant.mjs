// Seals grants as the contract says, apart from accrue: an old one, say, that no running service would make.
import { createHmac, hkdfSync } from 'node:crypto';
import { KEY, SECRET } from './accrue.mjs';

const DAY = 24 * 3600;

/** A grant of this client's, made so many seconds ago. The capability has to be canonical: sorted. */
export function seal(clientId, capability, age, { kid, bytes } = SECRET) {
  const since = Math.floor(Date.now() / 1000) - age;
  const head = `1j.${kid}.${since}`;
  const appId = KEY.split('.')[0];
  const key = Buffer.from(hkdfSync('sha256', bytes, 'accrue/grant', `${appId}\n${head}`, 32));
  const capabilities = Buffer.from(JSON.stringify(capability)).toString('base64url');
  const digest = createHmac('sha256', key).update(`${clientId}:${capabilities}`).digest('base64url');
  return `${head}.${capabilities}.${digest}`;
}

export const AGE = { fresh: 3600, stale: DAY / 2, tooOld: 2 * DAY };
