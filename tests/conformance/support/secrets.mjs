// What the service under test is told in its environment, and what callers prove themselves with.
import { KEY, SECRET, keyring } from '../../sdk/support/accrue.mjs';

export { KEY, SECRET };
/** One that came after it, and one that nobody knows. */
export const NEWER = { kid: 'k2', bytes: Buffer.from('what seals grants from tomorrow.') };
export const UNKNOWN = { kid: 'k9', bytes: Buffer.from('what seals grants somewhere else') };
export const ENV = { ABLY_API_KEY: KEY, ACCRUE_SECRETS: keyring(SECRET) };
export const ROTATED = keyring(NEWER, SECRET);
export const PROXY_SECRET = 'known to the proxy only';
