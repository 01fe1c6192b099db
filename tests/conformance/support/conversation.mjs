// Plays a row: makes requests of what the table says, and holds each answer against what the table and the contract say.
// What the table does not mention must not be there: no cookie is set, no grant answered, nothing refused, nobody asked.
import assert from 'node:assert/strict';
import { checkAsked, checkCors, checkCookies, checkError, checkGrant, checkRefused, checkUsual } from './checks.mjs';
import { tag } from './grants.mjs';
import { exchange } from './http.mjs';
import { PROXY_SECRET, SECRET } from './secrets.mjs';
import { checkToken } from './tokens.mjs';

export const COOKIES = {
  prefix: '__Host-accrue.',
  attributes: { path: '/', httponly: '', secure: '', samesite: 'Strict', 'max-age': '57600' },
  bytes: 2560,
};

export class Conversation {
  /** What a client keeps from one request of a row to the next: cookies, and `Accrue-Grant`. */
  #jar = new Map();
  #kept = 'none';

  constructor({ url, backend, section }) {
    Object.assign(this, { url, backend, cookies: { ...COOKIES, ...section.cookies }, secret: section.secret ?? SECRET });
  }

  async play(steps) {
    for (const { request, expected } of steps) {
      const sent = this.#sent(request);
      if (this.backend) this.backend.reply = request.backend === 'hangs' ? undefined : request.backend;
      const answer = await exchange(this.url, sent);
      try {
        this.#check({ ...sent, answer: readable(answer) }, expected);
      } catch (error) {
        const { status, headers, body } = answer;
        const shown = [`${sent.method} ${sent.target}: ${status}`, ...headers.map((pair) => pair.join(': ')), body];
        error.message += `\n\n${shown.join('\n')}`.slice(0, 3000);
        throw error;
      }
    }
  }

  /** What is sent for a request of the table. */
  #sent(request) {
    known(request, REQUEST);
    const { method = 'GET', path = '/auth', query = '', wish, by, headers = {}, chunked = false } = request;
    const now = moment();
    const held = (request.holds ?? []).map(now);
    const carried = request.carries && (request.carries === 'kept' ? [this.#kept] : request.carries.map(now));
    const cookies = [
      ...held.map((text) => [`${this.cookies.prefix}${tag(text)}`, text]),
      ...(request.cookies ?? []).map(([name, value]) => [name, now(value)]),
      ...this.#jar,
    ];
    const [type, body] = written(request);
    const all = [
      ...(by === undefined ? [] : [['x-client-id', by], ['x-proxy-secret', PROXY_SECRET]]),
      ...(type === undefined ? [] : [['content-type', type]]),
      ...(cookies.length ? [['cookie', cookies.map((pair) => pair.join('=')).join('; ')]] : []),
      ...(carried ? [['accrue-grant', carried.join(', ') || 'none']] : []),
      ...Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => [name, now(one)])),
    ];
    const asked = [form(query), wish === undefined ? '' : form({ capability: JSON.stringify(wish) })];
    const target = [path, asked.filter(Boolean).join('&')].filter(Boolean).join('?');
    return { method, target, headers: all, body, chunked, by, held, carried, cookies, kept: [...this.#jar.keys()] };
  }

  #check(exchanged, expected) {
    known(expected, EXPECTED);
    const { answer } = exchanged;
    const { error, token, status = error ? statusOf(error) : 200 } = expected;
    const all = { ...exchanged, expected, settings: this.cookies, secret: this.secret };
    assert.equal(answer.status, status, 'the status');
    checkUsual(all);
    checkCors(all);
    if (error) checkError(all);
    if (token) checkToken(all);
    if (expected.text !== undefined) {
      assert.equal(answer.header('content-type'), 'text/plain; charset=utf-8');
      assert.equal(answer.text, expected.text);
    }
    if (status === 204) assert.equal(answer.text, '');
    assert.equal(answer.header('allow'), expected.allow, 'Allow');
    checkRefused(all);
    for (const [name, value] of checkCookies(all)) {
      if (value === '') this.#jar.delete(name);
      else this.#jar.set(name, value);
    }
    this.#kept = checkGrant(all) ?? this.#kept;
    if (this.backend) checkAsked(all, this.backend.calls());
  }
}

/** A body and its type; parameters as pairs, or as they are. */
function written({ form: pairs, json, body, type }) {
  if (pairs !== undefined) return [type ?? 'application/x-www-form-urlencoded', form(pairs)];
  if (json !== undefined) return [type ?? 'application/json', typeof json === 'string' ? json : JSON.stringify(json)];
  return [type, body];
}

const form = (pairs) => (typeof pairs === 'string' ? pairs : new URLSearchParams(pairs).toString());
/** What depends on the time, at one moment: the same grant is the same text. */
function moment() {
  const made = new Map();
  return (value) => {
    if (typeof value !== 'function') return value;
    if (!made.has(value)) made.set(value, value());
    return made.get(value);
  };
}

const statusOf = (code) => Math.floor(code / 100) === 500 ? 503 : Math.floor(code / 100);

function readable({ status, headers, body }) {
  const values = (name) => headers.filter(([one]) => one === name).map(([, value]) => value);
  const header = (name) => {
    assert.ok(values(name).length < 2, `${name} stands once`);
    return values(name)[0];
  };
  return { status, headers, values, header, text: body.toString() };
}

/** A misspelt word would check nothing. */
function known(cell, words) {
  assert.deepEqual(Object.keys(cell).filter((word) => !words.includes(word)), [], 'words that the table does not know');
}

const REQUEST = [
  'method', 'path', 'query', 'wish', 'form', 'json', 'body', 'type', 'chunked', 'headers', 'by', 'holds', 'cookies', 'carries',
  'backend',
];
const EXPECTED = [
  'token', 'format', 'ttl', 'clientId', 'error', 'says', 'status', 'text', 'allow', 'preflight', 'refused', 'writes', 'drops',
  'keeps', 'since', 'requestId', 'asks',
];
