// A client as the model has it: what it does next, and what every answer has to be.
import { createHmac } from 'node:crypto';
import { canonical, now, open, sinceOf } from '../../conformance/support/grants.mjs';
import { KEY } from '../../sdk/support/accrue.mjs';
import { jwt } from '../../sdk/support/jwt.mjs';
import { Jar } from './jar.mjs';
import { clientName, permitted, roomName } from './rule.mjs';

export const SESSION_SECRET = 'what signs sessions while it soaks';
export const RECHECK_AFTER_SECONDS = 600;
const COOKIE_BYTES = 2560;
const COOKIE = '__Host-accrue.';
const ATTRIBUTES = `HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=${2 * RECHECK_AFTER_SECONDS}`;
const [KEY_NAME, KEY_SECRET] = KEY.split(':');
const HOUR = 3_600_000;
const ROOMS = 10_000;
/** One grant in so many is opened, too. */
const OPENED = 8;

/** What is checked; `report` counts what is wrong by these names. */
export const CHECKS = {
  intended: 'every answer is the one that is meant, with no error of nginx or accrue',
  lost: 'no addition is lost',
  wider: 'nothing is wider than what is given and permitted',
  refused: 'Accrue-Refused names what the rule denies, all of it and nothing else',
  token: 'every token request is signed, and for this client',
  grant: 'every client is left with one sealed grant, which is within its limits',
};

export class Client {
  #life = 0;
  #held = {};
  #lastWish = {};
  #answers = 0;
  #grants = 'none'; // where it carries them itself

  /** `random` gives the next number in [0, 1); `secrets` are those that seal, by kid. */
  constructor(number, { random, secrets, report }) {
    Object.assign(this, { number, random, secrets, report });
    this.jar = number % 4 === 0 ? undefined : new Jar();
    this.room = 4 + (number % 57); // for how many channels, before it gives some up
    this.#signIn();
  }

  /** The kids of the grants that it holds. */
  kids() {
    return this.#sealed().map((grant) => grant.split('.')[1]);
  }

  /** What it does next: one request, or several at the same moment. */
  next() {
    const [action, channels] = [this.random(), Object.keys(this.#held)];
    if (action < 0.002) return [this.#givesUp()];
    if (channels.length > this.room) return [this.#givesUp(channels.filter(() => this.random() < 0.5))];
    if (action < 0.02) return [this.#givesUp(channels.slice(0, 1))];
    // renewals of SDKs repeat the last wish
    if (action < 0.3) return [this.#asks(this.#lastWish)];
    const tabs = action < 0.4 && this.jar ? this.#below(2) + 2 : 1;
    return Array.from({ length: tabs }, () => this.#asks(this.#newWish()));
  }

  /** Looks at the answers to what was asked at the same moment, in the order in which they came. */
  answered(exchanges) {
    for (const [request, answer] of exchanges) {
      try {
        this.#answered(request, answer);
      } catch (error) {
        this.#wrong('intended', error.stack);
      }
    }
    this.#answers += exchanges.length;
    if (exchanges.some(([request, { status }]) => status !== request.meant)) return;
    const sealed = this.#sealed();
    // tabs leave a grant each, until the next answer folds them; what gives up leaves alone what is to be checked again
    const isAlone = exchanges.length === 1;
    const folded = isAlone && exchanges[0][0].method === 'DELETE' ? sealed.filter(isFresh) : sealed;
    const most = Object.keys(this.#held).length ? exchanges.length : 0;
    if (folded.length > most) {
      const methods = exchanges.map(([{ method }]) => method);
      this.#wrong('grant', `${sealed.length} after ${methods}: ${sealed.map(sinceOf)}`);
    }
    if (this.#answers % OPENED === 0 && isAlone && sealed.length === 1) this.#checkSealed(sealed[0]);
  }

  #answered(request, { status, headers, body }) {
    if (status !== request.meant) {
      const cause = headers['x-ably-errormessage'] ?? body.slice(0, 120).replaceAll(/\s+/g, ' ');
      this.#wrong('intended', `${request.method}: ${status} ${cause}`);
      return;
    }
    this.#keep(headers);
    if (request.method === 'DELETE') {
      this.#gaveUp(request);
      return;
    }
    this.#lastWish = request.wish;
    this.#checkRefused(request, headers);
    this.#checkToken(request, body);
  }

  #asks(wish) {
    const capability = JSON.stringify(wish);
    const query = Object.keys(wish).length ? new URLSearchParams({ capability }).toString() : '';
    const common = { meant: 200, wish, held: this.#held, headers: this.#headers() };
    const post = (type, body) => {
      const headers = { ...common.headers, 'content-type': type };
      return { ...common, method: 'POST', path: '/auth', headers, body };
    };
    switch (this.#below(4)) {
      case 0: return post('application/json', JSON.stringify({ capability: wish }));
      case 1: return post('application/x-www-form-urlencoded', query);
      default: return { ...common, method: 'GET', path: `/auth?${query}` };
    }
  }

  /** Some channels; without them all, and that for good: somebody else signs in. */
  #givesUp(channels) {
    const unwanted = channels && Object.fromEntries(channels.map((name) => [name, ['*']]));
    const isAll = !channels?.length; // without the parameter it is everything
    const query = isAll ? '' : `?${new URLSearchParams({ capability: JSON.stringify(unwanted) })}`;
    return { meant: 204, method: 'DELETE', path: `/auth${query}`, headers: this.#headers(), channels, isAll };
  }

  #gaveUp({ channels, isAll }) {
    const kept = Object.entries(this.#held).filter(([name]) => !isAll && !channels.includes(name));
    this.#held = Object.fromEntries(kept);
    if (!channels) this.#signIn();
  }

  #newWish() {
    const operations = () => (this.random() < 0.3 ? ['publish', 'subscribe'] : ['subscribe']);
    const channels = Array.from({ length: 1 + this.#below(3) }, () => roomName(this.#below(ROOMS)));
    return Object.fromEntries(channels.map((name) => [name, operations()]));
  }

  #signIn() {
    this.#life += 1;
    this.#lastWish = {};
    this.id = clientName(this.number, this.#life);
    const exp = Math.floor(Date.now() / 1000) + 24 * 3600;
    const sign = (text) => createHmac('sha256', SESSION_SECRET).update(text).digest();
    this.session = jwt({ alg: 'HS256', typ: 'JWT' }, { sub: this.id, exp }, sign);
    this.jar?.set('session', this.session);
  }

  #headers() {
    if (this.jar) return { cookie: this.jar.toString() };
    return { authorization: `Bearer ${this.session}`, 'accrue-grant': this.#grants };
  }

  #sealed() {
    if (this.jar) return this.jar.values(COOKIE);
    return this.#grants === 'none' ? [] : this.#grants.split(', ');
  }

  #keep(headers) {
    if (!this.jar) {
      this.#grants = headers['accrue-grant'] ?? this.#wrong('grant', 'no Accrue-Grant') ?? 'none';
      return;
    }
    for (const { name, value, attributes } of this.jar.take(headers['set-cookie'] ?? [])) {
      const named = name === `${COOKIE}${value.slice(value.lastIndexOf('.') + 1).slice(0, 8)}`;
      if (!value) continue; // it was deleted
      if (!named) this.#wrong('grant', `${name} for ${value}`);
      if (name.length + value.length > COOKIE_BYTES) this.#wrong('grant', `${value.length} bytes`);
      const said = [...attributes].map(([key, text]) => (text ? `${key}=${text}` : key)).sort().join();
      if (said !== SAID) this.#wrong('grant', said);
    }
  }

  #checkRefused({ wish }, headers) {
    const denied = Object.entries(wish).map(([resource, operations]) => {
      const may = permitted(this.id, resource, operations);
      return [resource, operations.filter((operation) => !may.includes(operation))];
    }).filter(([, operations]) => operations.length);
    const expected = denied.length ? `{"denied":${canonical(Object.fromEntries(denied))}}` : undefined;
    const told = headers['accrue-refused'];
    if (told !== expected) this.#wrong('refused', `${told}, and not ${expected}`);
  }

  #checkToken({ wish, held }, body) {
    const token = JSON.parse(body);
    const { keyName, ttl, capability, clientId, timestamp, nonce, mac, ...more } = token;
    const lines = [keyName, ttl, capability, clientId, timestamp, nonce].map((line) => `${line}\n`).join('');
    const signed = createHmac('sha256', KEY_SECRET).update(lines).digest('base64');
    const isToken = mac === signed && keyName === KEY_NAME && clientId === this.id && nonce.length >= 22
      && ttl <= HOUR && ttl >= 0.9 * HOUR && Object.keys(more).length === 0;
    if (!isToken) this.#wrong('token', body);

    const granted = Object.entries(wish)
      .map(([resource, operations]) => [resource, permitted(this.id, resource, operations)])
      .filter(([, operations]) => operations.length);
    const expected = union(held, Object.fromEntries(granted));
    const given = { [`inbox:${this.id}`]: ['subscribe'] };
    this.report.added(count(expected) - count(held));
    if (capability !== canonical({ ...expected, ...given })) {
      const got = JSON.parse(capability);
      const lost = minus({ ...expected, ...given }, got);
      const wider = minus(got, { ...expected, ...given });
      if (count(lost)) this.#wrong('lost', JSON.stringify(lost), count(lost));
      if (count(wider)) this.#wrong('wider', JSON.stringify(wider), count(wider));
      if (!count(lost) && !count(wider)) this.#wrong('token', `not canonical: ${capability}`);
      this.#held = minus(union(this.#held, expected), lost); // what is lost is counted once
      return;
    }
    this.#held = union(this.#held, expected);
  }

  #checkSealed(text) {
    try {
      const capability = open(text, this.id, this.secrets.get(text.split('.')[1]));
      if (canonical(capability) !== canonical(this.#held)) throw new Error('it is not what is held');
    } catch (error) {
      this.#wrong('grant', `${text}: ${error.message.split('\n')[0]}`);
    }
  }

  #wrong(check, what, times = 1) {
    this.report.wrong(check, `${this.id}: ${what}`, times);
  }

  #below(number) {
    return Math.floor(this.random() * number);
  }
}

const SAID = ATTRIBUTES.split('; ').map((part) => {
  const [name, value] = part.split('=');
  return value ? `${name.toLowerCase()}=${value}` : name.toLowerCase();
}).sort().join();

const isFresh = (grant) => now() - sinceOf(grant) <= RECHECK_AFTER_SECONDS;

const count = (capability) => Object.values(capability).reduce((sum, { length }) => sum + length, 0);

function union(one, other) {
  const both = { ...one };
  for (const [name, operations] of Object.entries(other)) {
    both[name] = both[name] ? [...new Set([...both[name], ...operations])].sort() : operations;
  }
  return both;
}

function minus(one, other) {
  const rest = Object.entries(one)
    .map(([name, operations]) => [name, operations.filter((operation) => !other[name]?.includes(operation))]);
  return Object.fromEntries(rest.filter(([, operations]) => operations.length));
}
