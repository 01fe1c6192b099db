// The half of Ably that knows keys: token requests become tokens, JWTs are read, tokens are revoked.
// Strict where the service is, so that what passes here is right and not merely tolerated.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { AblyError, refuse } from './error.mjs';
import { canonical, intersect, parse } from './capability.mjs';

const MINUTE = 60_000;
const TIMESTAMP_WINDOW = 2 * MINUTE;
const LONGEST = { revocable: 60 * MINUTE, other: 24 * 60 * MINUTE };
const REAUTH_MARGIN = 30_000;
const EVERYTHING = '{"[*]*":["*"]}';

/** What a client may do, once its token has been read: `{keyName, clientId, capability, issued, expires}`. */
export class Tokens {
  #keys = new Map();
  #tokens = new Map();
  #seen = new Set();
  #revocations = [];

  /**
   * `keys`: a list of `{key: 'appId.keyId:secret', capability?, revocable?}`. `margin`: how long a token that was revoked
   * with allowReauthMargin stays good, 30 s at Ably. `now`: a clock in ms.
   */
  constructor({ keys, margin = REAUTH_MARGIN, now = Date.now }) {
    for (const { key, capability = EVERYTHING, revocable = false } of keys) {
      const [, keyName, secret] = /^([^:]+):(.+)$/s.exec(key);
      this.#keys.set(keyName, { keyName, secret, capability: parse(capability), revocable });
    }
    this.margin = margin;
    this.now = now;
  }

  /** `POST /keys/{keyName}/requestToken`: TokenDetails for a signed TokenRequest (spec TE1 to TE6, TD1 to TD6). */
  exchange(keyName, request) {
    const members = { keyName: 'string', timestamp: 'number', nonce: 'string', mac: 'string' };
    const optional = { ttl: ['number', 'string'], capability: ['string'], clientId: ['string'] };
    if (typeof request !== 'object' || request === null) refuse(40001, 'the body is no object');
    for (const [name, type] of Object.entries(members)) {
      if (typeof request[name] !== type) refuse(40001, `${name} is no ${type}`);
    }
    for (const [name, value] of Object.entries(request)) {
      if (name in members) continue;
      if (!(name in optional)) refuse(40001, `a token request has no member ${name}`);
      if (!optional[name].includes(typeof value)) refuse(40001, `${name} has the wrong type`);
    }
    if (request.keyName !== keyName) refuse(40001, 'keyName differs from the path');
    if (request.clientId === '') refuse(40012, 'clientId is empty');
    const key = this.#key(keyName);

    const { ttl = '', capability = '', clientId = '', timestamp, nonce } = request;
    const signed = [keyName, ttl, capability, clientId, timestamp, nonce].map((line) => `${line}\n`).join('');
    if (!sameText(request.mac, hmac(key.secret, signed, 'base64'))) refuse(40101, 'mac does not fit');
    if (nonce.length < 16) refuse(40001, 'nonce has less than 16 characters');
    if (Math.abs(this.now() - timestamp) > TIMESTAMP_WINDOW) refuse(40104, 'Timestamp not current');
    if (this.#seen.has(`${timestamp} ${nonce}`)) refuse(40105, 'Nonce value replayed');
    this.#seen.add(`${timestamp} ${nonce}`);

    const lifetime = ttl === '' ? 60 * MINUTE : Number(ttl);
    if (!(lifetime > 0)) refuse(40003, 'ttl is not positive');
    const granted = this.#cut(key, parse(capability || EVERYTHING), lifetime);
    const issued = this.now();
    const token = `${appOf(keyName)}.${randomBytes(24).toString('base64url')}`;
    const details = { keyName, clientId: clientId || undefined, capability: granted, issued, expires: issued + lifetime };
    this.#tokens.set(token, details);
    return { token, ...details, capability: canonical(granted) };
  }

  /** What the holder of a token or JWT may do. Throws a token error (401xx), which makes SDKs renew. */
  read(token) {
    if (!token) refuse(40101, 'no token');
    const details = this.#tokens.get(token) ?? this.#readJwt(token);
    if (details.expires <= this.now()) refuse(40142, 'Token expired');
    if (this.revokedAt(details) <= this.now()) refuse(40141, 'Token revoked');
    return details;
  }

  /** When a token ceases to be good because it was revoked; Infinity if it was not. */
  revokedAt({ keyName, clientId, issued }) {
    const hits = this.#revocations.filter((one) =>
      one.keyName === keyName && one.target === `clientId:${clientId}` && issued <= one.issuedBefore);
    return Math.min(Infinity, ...hits.map((one) => one.appliesAt));
  }

  /** `POST /keys/{keyName}/revokeTokens` (spec RSA17): the answer, `{successCount, failureCount, results}`. */
  revoke(keyName, authorization, body) {
    const [, scheme, credentials] = /^(\w+) (.*)$/.exec(authorization ?? '') ?? [];
    if (scheme !== 'Basic') refuse(40162, 'revoking needs Basic authentication');
    const [, presented, secret] = /^([^:]+):(.*)$/s.exec(Buffer.from(credentials, 'base64').toString()) ?? [];
    const key = this.#key(keyName);
    if (presented !== keyName) refuse(40133, 'a key revokes its own tokens only');
    if (!sameText(secret, key.secret)) refuse(40101, 'the secret does not fit');
    if (!key.revocable) refuse(40163, 'revocable tokens are not enabled for this key');

    const { targets, issuedBefore = this.now(), allowReauthMargin = false, ...unknown } = body ?? {};
    if (Object.keys(unknown).length) refuse(40001, `unknown members: ${Object.keys(unknown)}`);
    if (!Array.isArray(targets) || !targets.length || targets.length > 100) refuse(40001, '1 to 100 targets');
    if (!(issuedBefore <= this.now() && issuedBefore >= this.now() - 60 * MINUTE)) {
      refuse(40003, 'issuedBefore lies in the future or more than an hour ago');
    }
    const appliesAt = this.now() + (allowReauthMargin ? this.margin : 0);
    const results = targets.map((target) => {
      if (!/^clientId:./s.test(target)) return { target, error: new AblyError(40000, 'only clientId is known here') };
      this.#revocations.push({ keyName, target, issuedBefore, appliesAt });
      return { target, issuedBefore, appliesAt };
    });
    const failureCount = results.filter((result) => result.error).length;
    return { successCount: results.length - failureCount, failureCount, results };
  }

  /** A JWT signed with a key's secret (docs: auth/token/jwt). */
  #readJwt(token) {
    const bad = (why) => refuse(40144, `bad JWT: ${why}`);
    const parts = token.split('.');
    if (parts.length !== 3) refuse(40143, 'Token unrecognised');
    const [header, claims] = parts.slice(0, 2).map((part) => {
      try {
        return JSON.parse(Buffer.from(part, 'base64url'));
      } catch {
        return bad('it can not be decoded');
      }
    });
    if (header.alg !== 'HS256') bad('alg is not HS256');
    if (typeof header.kid !== 'string') bad('kid is missing');
    const key = this.#key(header.kid);
    if (!sameText(parts[2], hmac(key.secret, `${parts[0]}.${parts[1]}`, 'base64url'))) {
      refuse(40101, 'the signature does not fit');
    }
    const { iat, exp, 'x-ably-clientId': clientId, 'x-ably-capability': capability = EVERYTHING } = claims;
    if (!Number.isFinite(iat) || !Number.isFinite(exp)) bad('iat and exp must be specified');
    if (iat * 1000 > this.now() + MINUTE) bad('iat lies in the future');
    if (clientId !== undefined && (typeof clientId !== 'string' || !clientId)) {
      refuse(40012, 'clientId must be a string and not empty');
    }
    if (typeof capability !== 'string') bad('x-ably-capability is no string');
    const granted = this.#cut(key, parse(capability), (exp - iat) * 1000);
    return { keyName: key.keyName, clientId, capability: granted, issued: iat * 1000, expires: exp * 1000 };
  }

  #cut(key, requested, lifetime) {
    if (lifetime > LONGEST[key.revocable ? 'revocable' : 'other']) refuse(40003, 'ttl is too long');
    return intersect(key.capability, requested) ?? refuse(40160, 'nothing of it is permitted');
  }

  #key(keyName) {
    return this.#keys.get(keyName) ?? refuse(40400, 'there is no such key');
  }
}

export const appOf = (keyName) => keyName.split('.')[0];

const hmac = (secret, text, encoding) => createHmac('sha256', secret).update(text).digest(encoding);

function sameText(a, b) {
  const [left, right] = [a, b].map((text) => Buffer.from(text ?? ''));
  return left.length === right.length && timingSafeEqual(left, right);
}
