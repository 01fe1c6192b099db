// Seals and opens grants as the contract says, apart from accrue. What a row holds is sealed when it is played, so that
// its age is right.
import assert from 'node:assert/strict';
import { deflateRawSync } from 'node:zlib';
import { contents, digest } from '../../sdk/support/grant.mjs';
import { KEY, SECRET } from './secrets.mjs';

export const now = () => Math.floor(Date.now() / 1000);

/** JSON as a grant and a token have it: all sorted. JavaScript sorts by UTF-16, which is the same for names in the table. */
export function canonical(capability) {
  const entries = Object.entries(capability).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(Object.fromEntries(entries.map(([resource, operations]) => [resource, [...operations].sort()])));
}

/**
 * A grant of this capability, as alice got it 1000 s ago from this service, or else: `of` whom, of what `age` in seconds,
 * with which `secret`, for which Ably `key`; deflated; with another `text` than the canonical one, or a head changed
 * before it is signed; and changed `after` it was signed.
 */
export function grant(capability, options = {}) {
  const { of = 'alice', age = 1000, secret = SECRET, key = KEY, deflated = false } = options;
  const { text = canonical(capability), head = (it) => it, after = (it) => it } = options;
  return () => {
    const since = now() - age;
    const signed = head(`1${deflated ? 'z' : 'j'}.${secret.kid}.${since}`);
    const capabilities = (deflated ? deflateRawSync(text) : Buffer.from(text)).toString('base64url');
    return after(`${signed}.${capabilities}.${digest(of, signed, capabilities, secret.bytes, key)}`);
  };
}

/** Its cookie is named by its content. */
export const tag = (text) => text.slice(text.lastIndexOf('.') + 1).slice(0, 8);
export const sinceOf = (text) => Number(text.split('.')[2]);

/** What a grant that the service has sealed permits this client; fails if it was sealed wrongly. */
export function open(text, clientId, { kid, bytes }) {
  const parts = text.split('.');
  assert.equal(parts.length, 5, text);
  const [form, named, since, capabilities, signature] = parts;
  assert.match(form, /^1[jz]$/);
  assert.equal(named, kid);
  assert.match(since, /^[1-9]\d{0,10}$/);
  assert.equal(signature, digest(clientId, `${form}.${kid}.${since}`, capabilities, bytes), 'the digest is right');
  const capability = contents(text);
  const plain = Buffer.from(canonical(capability)).toString('base64url');
  if (form === '1j') assert.equal(capabilities, plain, 'it is canonical');
  else assert.ok(capabilities.length < plain.length, 'the shorter form is used');
  return capability;
}
