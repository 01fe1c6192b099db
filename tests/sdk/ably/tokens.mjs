// The half of Ably that knows keys: token requests become tokens, JWTs are read, tokens are revoked.
// Strict where the service is, so that what passes here is right and not merely tolerated.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { AblyError, refuse } from './error.mjs';
import { EVERYTHING, canonical, intersect, parse } from './capability.mjs';

const MINUTE = 60_000;
const TIMESTAMP_WINDOW = 2 * MINUTE;
const LONGEST = { revocable: 60 * MINUTE, other: 24 * 60 * MINUTE };
const REAUTH_MARGIN = 30_000;
const TOKEN_REQUEST = {
  keyName: ['string'], ttl: ['number', 'string'], capability: ['string'], clientId: ['string'],
  timestamp: ['number'], nonce: ['string'], mac: ['string'],
};

/** What a token stands for is `{keyName, clientId, capability, issued, expires}`: its details. */
export class Tokens {
  #keys = new Map();
  #tokens = new Map();
  #nonces = new Set();
  #revocations = [];

  /**
   * `keys`: a list of `{key: 'appId.keyId:secret', capability?, revocable?}`, with capabilities as JSON text. `margin`:
   * how long a token that was revoked with allowReauthMargin stays good, 30 s at Ably. `now`: a clock in ms.
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
  exchange(keyName, body) {
    // ably-python writes null for what it leaves out
    const request = Object.fromEntries(Object.entries(body ?? {}).filter(([, value]) => value !== null));
    for (const [name, value] of Object.entries(request)) {
      if (!Object.hasOwn(TOKEN_REQUEST, name)) refuse(40001, `a token request has no member ${name}`);
      if (!TOKEN_REQUEST[name].includes(typeof value)) refuse(40001, `${name} has the wrong type`);
    }
    for (const name of ['timestamp', 'nonce']) if (!(name in request)) refuse(40001, `${name} is missing`);
    if (request.keyName !== keyName) refuse(40001, 'keyName differs from the path');
    const { ttl, capability, clientId, timestamp, nonce, mac } = request;
    checkClientId(clientId);

    const key = this.#key(keyName);
    // a ttl of 0 is signed like none
    const lines = [keyName, ttl || '', capability ?? '', clientId ?? '', timestamp, nonce].map((line) => `${line}\n`);
    if (!sameText(mac, hmac(key.secret, lines.join(''), 'base64'))) refuse(40101, 'mac does not fit');
    if (nonce.length < 16) refuse(40001, 'nonce has less than 16 characters');
    if (Math.abs(this.now() - timestamp) > TIMESTAMP_WINDOW) refuse(40104, 'Timestamp not current');
    const once = `${keyName} ${timestamp} ${nonce}`;
    if (this.#nonces.has(once)) refuse(40105, 'Nonce value replayed');
    this.#nonces.add(once);

    const lifetime = ttl ?? 60 * MINUTE;
    if (!/^[1-9]\d*$/.test(lifetime)) refuse(40003, 'ttl is not a positive number of ms');
    const granted = cut(key, capability, Number(lifetime));
    const issued = this.now();
    const details = { keyName, clientId, capability: granted, issued, expires: issued + Number(lifetime) };
    const token = `${appOf(keyName)}.${randomBytes(24).toString('base64url')}`;
    this.#tokens.set(token, details);
    return { token, ...details, capability: canonical(granted) };
  }

  /** The details of a token or JWT, while it is good. */
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
      one.keyName === keyName && one.target === `clientId:${clientId}` && issued < one.issuedBefore);
    return Math.min(Infinity, ...hits.map((one) => one.appliesAt));
  }

  /** `POST /keys/{keyName}/revokeTokens` (spec RSA17): the answer, `{successCount, failureCount, results}`. */
  revoke(keyName, authorization, body) {
    const [, scheme, credentials] = /^(\w+) (.*)$/.exec(authorization) ?? [];
    if (scheme === 'Bearer') refuse(40162, 'revoking needs Basic authentication');
    if (scheme !== 'Basic') refuse(40101, 'no credentials');
    const [, presented, secret] = /^([^:]+):(.*)$/s.exec(Buffer.from(credentials, 'base64')) ?? [];
    const key = this.#key(presented);
    if (!sameText(secret, key.secret)) refuse(40101, 'the secret does not fit');
    if (presented !== keyName) refuse(40133, 'a key revokes its own tokens only');
    if (!key.revocable) refuse(40163, 'revocable tokens are not enabled for this key');

    const now = this.now();
    const { targets, issuedBefore = now, allowReauthMargin = false, ...unknown } = body ?? {};
    if (Object.keys(unknown).length) refuse(40001, `unknown members: ${Object.keys(unknown)}`);
    if (!Array.isArray(targets) || !targets.length || targets.length > 100) refuse(40001, '1 to 100 targets');
    if (!(issuedBefore <= now && issuedBefore >= now - 60 * MINUTE)) {
      refuse(40003, 'issuedBefore lies in the future or more than an hour ago');
    }
    const appliesAt = now + (allowReauthMargin ? this.margin : 0);
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
        return JSON.parse(Buffer.from(part, 'base64url')) ?? {};
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
    const { iat, exp, 'x-ably-clientId': clientId, 'x-ably-capability': capability } = claims;
    if (!Number.isFinite(iat) || !Number.isFinite(exp)) bad('iat and exp must be specified');
    if (iat * 1000 > this.now() + MINUTE) bad('iat lies in the future');
    checkClientId(clientId);
    if (!['string', 'undefined'].includes(typeof capability)) bad('x-ably-capability is no string');
    const granted = cut(key, capability, (exp - iat) * 1000);
    return { keyName: key.keyName, clientId, capability: granted, issued: iat * 1000, expires: exp * 1000 };
  }

  #key(keyName) {
    return this.#keys.get(keyName) ?? refuse(40400, 'there is no such key');
  }
}

export const appOf = (keyName) => keyName.split('.')[0];

/** What a key grants of what is asked of it. */
function cut(key, capability = EVERYTHING, lifetime) {
  if (lifetime > LONGEST[key.revocable ? 'revocable' : 'other']) refuse(40003, 'ttl is too long');
  return intersect(key.capability, parse(capability)) ?? refuse(40160, 'nothing of it is permitted');
}

/** `*` stands for anybody, and for nothing else; a line break would shift the lines that are signed. */
function checkClientId(clientId) {
  if (clientId === undefined) return;
  if (typeof clientId !== 'string' || !/^(\*|[^*\r\n]+)$/.test(clientId)) refuse(40012, 'clientId is malformed');
}

const hmac = (secret, text, encoding) => createHmac('sha256', secret).update(text).digest(encoding);

function sameText(a, b) {
  const [left, right] = [a, b].map((text) => Buffer.from(text ?? ''));
  return left.length === right.length && timingSafeEqual(left, right);
}
