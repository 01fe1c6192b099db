// Seals grants as the contract says, apart from accrue: an old one, say, that no running service would make.
import { createHmac, hkdfSync } from 'node:crypto';
import { inflateRawSync } from 'node:zlib';
import { KEY, SECRET } from './accrue.mjs';

const DAY = 24 * 3600;

/** A grant of this client's, made so many seconds ago. The capability has to be canonical: sorted. */
export function seal(clientId, capability, age, secret) {
  return sealText(clientId, 'j', Buffer.from(JSON.stringify(capability)).toString('base64url'), age, secret);
}

/** The same grant, had it been made so many seconds ago. */
export function aged(clientId, grant, age, secret) {
  const [version, , , capabilities] = grant.split('.');
  return sealText(clientId, version.slice(1), capabilities, age, secret);
}

function sealText(clientId, form, capabilities, age, { kid, bytes } = SECRET) {
  const since = Math.floor(Date.now() / 1000) - age;
  const head = `1${form}.${kid}.${since}`;
  return `${head}.${capabilities}.${digest(clientId, head, capabilities, bytes)}`;
}

/** What makes it worth something: an HMAC over `<clientId>:<CAPABILITIES>`. */
export function digest(clientId, head, capabilities, secret, ablyKey = KEY) {
  const appId = ablyKey.split('.')[0];
  const key = Buffer.from(hkdfSync('sha256', secret, 'accrue/grant', `${appId}\n${head}`, 32));
  return createHmac('sha256', key).update(`${clientId}:${capabilities}`).digest('base64url');
}

/** The capability that it names. */
export function contents(grant) {
  const [version, , , capabilities] = grant.split('.');
  const bytes = Buffer.from(capabilities, 'base64url');
  return JSON.parse(version === '1z' ? inflateRawSync(bytes) : bytes);
}

export const AGE = { fresh: 3600, stale: DAY / 2, tooOld: 2 * DAY };
