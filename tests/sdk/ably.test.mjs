// The stand-in for Ably refuses what it must, and accepts what unmodified SDKs send.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { on, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import SDK from 'ably';
import WebSocket from 'ws';
import { allows, canonical, intersect, parse } from './ably/capability.mjs';
import { Ably } from './ably/server.mjs';
import { Tokens } from './ably/tokens.mjs';
import { jwt as signedJwt } from './support/jwt.mjs';
import { until } from './support/until.mjs';
import { sdkOptions } from './support/world.mjs';

const known = (name) => JSON.parse(readFileSync(new URL(`../data/${name}.json`, import.meta.url)));
const NOW = 1_700_000_000_000;
const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];
const LONG = 10 * SECOND;
const NONCE = '0123456789abcdef';
const KEY = 'app.key:a secret';
const REVOCABLE = 'app.revocable:another secret';
const NARROW = 'app.narrow:a third secret';
const STRANGER = 'stranger.key:a secret of another app';
const KEYS = [
  { key: KEY }, { key: REVOCABLE, revocable: true }, { key: STRANGER },
  { key: NARROW, capability: '{"room:*":["publish","subscribe"]}' },
];
const nameOf = (key) => key.split(':')[0];
const secretOf = (key) => key.slice(key.indexOf(':') + 1);
const hmac = (secret, text, encoding) => createHmac('sha256', secret).update(text).digest(encoding);

/** One test for each row: its title, then what the check is given. */
function rows(table, check) {
  for (const [title, ...row] of table) test(title, (t) => check(t, ...row));
}

/** A stand-in that ends with the test. */
async function start(t, options) {
  const ably = await Ably.start({ keys: KEYS, ...options });
  t.after(() => ably.stop());
  return ably;
}

/** A TokenRequest, signed (docs: api/token-request-spec#hmac); undefined leaves a member out. */
function tokenRequest(members = {}, key = KEY) {
  const all = { keyName: nameOf(key), timestamp: NOW, nonce: NONCE, ...members };
  const lines = [all.keyName, all.ttl || '', all.capability, all.clientId, all.timestamp, all.nonce];
  const mac = hmac(secretOf(key), lines.map((line) => `${line ?? ''}\n`).join(''), 'base64');
  return { ...all, mac };
}

/** A JWT for Ably (docs: auth/token/jwt); undefined leaves a claim or header out. */
function jwt(claims = {}, key = KEY, header = {}) {
  const iat = NOW / 1000;
  const hs256 = (text) => hmac(secretOf(key), text);
  const payload = { iat, exp: iat + 3600, ...claims };
  return signedJwt({ alg: 'HS256', typ: 'JWT', kid: nameOf(key), ...header }, payload, hs256);
}

const basic = (key) => ({ authorization: `Basic ${Buffer.from(key).toString('base64')}` });

async function post(ably, path, body, headers) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(`http://127.0.0.1:${ably.port}${path}`, { method: 'POST', body: text, headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

const requestToken = (ably, request, name = request.keyName) => post(ably, `/keys/${name}/requestToken`, request);
const revokeTokens = (ably, body, headers = basic(REVOCABLE), key = REVOCABLE) =>
  post(ably, `/keys/${nameOf(key)}/revokeTokens`, body, headers);

/** An answer of the REST half is this error, in Ably's shape, and the headers say the same. */
function assertError({ status, headers, body }, code, statusCode) {
  const { message } = body.error ?? {};
  assert.equal(typeof message, 'string', JSON.stringify(body));
  assert.deepEqual(body, { error: { code, statusCode, message, href: `https://help.ably.io/error/${code}` } });
  assert.equal(status, statusCode);
  assert.equal(headers.get('content-type'), 'application/json');
  assert.equal(headers.get('x-ably-errorcode'), String(code));
  assert.ok(headers.get('x-ably-errormessage'));
}

suite('capabilities', () => {
  const { cases, intersections, validity } = known('capability-match');

  suite('an operation on a channel', () => {
    assert.equal(cases.length, 56);
    rows(cases.map((one) => [`${one.id} ${JSON.stringify(one.capability)} ${one.channel} ${one.operation}`, one]),
      (t, one) => assert.equal(allows(one.capability, one.channel, one.operation), one.allowed));

    rows([
      ['a * at the end may be nothing', 'a:*', 'a', true],
      ['a * elsewhere may not', 'a:*:*', 'a', false],
      ['a * at the end of a longer one may be nothing', 'a:*:*', 'a:b', true],
      ['parameters are no part of the name', 'room', '[?rewind=1]room', true],
      ['parameters do not hide another name', 'room', '[?rewind=1]other', false],
      ['parameters do not hide a qualifier', 'log', '[meta?rewind=1]log', false],
      ['a qualifier with parameters', '[meta]log', '[meta?rewind=1]log', true],
    ], (t, resource, channel, expected) => assert.equal(allows({ [resource]: ['*'] }, channel, 'publish'), expected));
  });

  suite('what is left of a request with a key', () => {
    assert.equal(intersections.length, 16);
    rows(intersections.map((one) => [one.id, one]), (t, { keyCapability, requested, result }) => {
      const asked = requested ?? { '[*]*': ['*'] };
      const inOrder = (capability) => capability && canonical(capability);
      assert.equal(inOrder(intersect(keyCapability, asked)), inOrder(result));
      assert.equal(inOrder(intersect(asked, keyCapability)), inOrder(result));
    });

    rows([
      ['crossing resources', 'a:*:c', '*:b:c', 'a:b:c'],
      ['crossing resources, one open', 'a:*', '*:b', 'a:b'],
      ['crossing resources, both open', 'a:*', '*:b:*', 'a:b:*'],
      ['crossing qualifiers', '[*]log', '[meta]*', '[meta]log'],
      ['other qualifiers', 'log', '[meta]*', null],
      ['unequal lengths, the shorter not open', 'a:*', 'a', null],
    ], (t, one, other, expected) => {
      const result = expected && { [expected]: ['publish'] };
      assert.deepEqual(intersect({ [one]: ['*'] }, { [other]: ['publish'] }), result);
      assert.deepEqual(intersect({ [other]: ['publish'] }, { [one]: ['*'] }), result);
    });

    rows([
      ['add up', { 'room:*': ['publish'], '*': ['subscribe'] }, ['publish', 'subscribe']],
      ['are no more than all', { 'room:*': ['publish'], '*': ['*'] }, ['*']],
      ['are there once', { 'room:*': ['publish'], '*': ['publish'] }, ['publish']],
    ].map(([title, ...row]) => [`operations by several resources ${title}`, ...row]), (t, key, operations) => {
      assert.deepEqual(intersect(key, { 'room:1': ['*'] }), { 'room:1': operations });
    });

    test('never more than both allow; less only where a last * would be nothing', () => {
      const names = ['a', 'b', 'a:a', 'a:b', 'b:b', 'a:b:a', '[meta]a', '[meta]a:b'];
      const segments = ['a', 'b', '*', 'a:b', 'a:*', '*:b', '*:*', 'b:*', 'a:*:a', 'a:b:*', '*:b:a'];
      const resources = segments.flatMap((one) => [one, `[meta]${one}`, `[*]${one}`]);
      let allowed = 0;
      for (const one of resources) {
        for (const other of resources) {
          const left = intersect({ [one]: ['*'] }, { [other]: ['*'] }) ?? {};
          for (const name of names) {
            const byBoth = [one, other].every((resource) => allows({ [resource]: ['*'] }, name, 'publish'));
            const length = name.split(':').length;
            const nothing = [one, other].some((resource) => resource.split(':').length === length + 1);
            const byLeft = allows(left, name, 'publish');
            if (byLeft || !nothing) assert.equal(byLeft, byBoth, `${one} and ${other}: ${name}`);
            allowed += byLeft;
          }
        }
      }
      assert.ok(allowed > 100);
    });
  });

  suite('what is a capability, and what is malformed', () => {
    assert.equal(validity.length, 5);
    rows([
      ...validity.map(({ capability, valid }) => [JSON.stringify(capability), valid]),
      ['{"[*]*":["*"],"[meta]log":["subscribe"],"[queue]q":["subscribe"]}', true],
      ['{"room::$chat":["subscribe"],"日本語 部屋":["publish"],"a*":["history"]}', true],
      ['', false],
      ['nonsense', false],
      ['null', false],
      ['"room"', false],
      ['[]', false],
      ['[["publish"]]', false],
      ['{}', false],
      ['{"room":"publish"}', false],
      ['{"room":"*"}', false],
      ['{"room":{"publish":true}}', false],
      ['{"room":["publish",["subscribe"]]}', false],
      ['{"room":["publish"],"other":[]}', false],
      ['{"room":["Publish"]}', false],
      ['{"[mata]log":["subscribe"]}', false],
      ['{"[?rewind=1]room":["subscribe"]}', false],
      ['{"[meta":["subscribe"]}', false],
      ['{"[meta]":["subscribe"]}', false],
      ['{"[meta][meta]log":["subscribe"]}', false],
      ['{"":["subscribe"]}', false],
      ['{":room":["subscribe"]}', false],
      ['{",room":["subscribe"]}', false],
      ['{" room":["subscribe"]}', false],
      ['{"a\\nb":["subscribe"]}', false],
      ['{"a\\u2028b":["subscribe"]}', false],
    ].map(([text, valid]) => [text || 'nothing', text, valid]), (t, text, valid) => {
      if (valid) assert.deepEqual(parse(text), JSON.parse(text));
      else assert.throws(() => parse(text), { code: 40000, statusCode: 400 });
    });
  });
});

suite('requestToken', () => {
  const { vectors, generatedDefaults } = known('token-request');
  const REFUSED = {
    'tr-23': 40000, // an empty list of operations
    'tr-25': 40000, // an empty text is no capability
    'tr-32': 40000, // line breaks in a resource
    'tr-41': 40012, // a line break in the clientId
    'tr-44': 40001, // a short nonce
  };

  suite('what ably-js signs is accepted, and with one member changed refused', () => {
    assert.equal(vectors.length, 32);
    rows(vectors.map((vector) => [`${vector.id} ${vector.name}`, vector]), async (t, { id, key, tokenRequest }) => {
      const another = `${nameOf(key)}2:another secret`;
      const ably = await start(t, { keys: [{ key }, { key: another }], now: () => NOW });
      if (id in REFUSED) return assertError(await requestToken(ably, tokenRequest), REFUSED[id], 400);

      const { keyName, ttl, capability, clientId, timestamp, nonce, mac } = tokenRequest;
      const present = ['ttl', 'capability', 'clientId'].filter((name) => name in tokenRequest);
      const changes = [
        { keyName: nameOf(another) }, { ttl: Number(ttl ?? 0) + 1 }, { capability: '{"mine":["publish"]}' },
        { clientId: 'mallory' }, { timestamp: timestamp + 1 }, { nonce: `${nonce}0` },
        { mac: mac.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')) }, { mac: mac.slice(0, -1) }, { mac: '' },
        { mac: undefined }, ...present.map((name) => ({ [name]: undefined })),
      ];
      for (const change of changes) {
        assertError(await requestToken(ably, { ...tokenRequest, ...change }), 40101, 401);
      }

      const { status, body: { token, ...details } } = await requestToken(ably, tokenRequest);
      assert.equal(status, 201);
      // to ask for an operation twice is to ask for it
      const granted = canonical(JSON.parse(capability ?? '{"[*]*":["*"]}', (name, value) =>
        (Array.isArray(value) ? [...new Set(value)] : value)));
      const expires = NOW + Number(ttl ?? HOUR);
      const expected = { keyName, issued: NOW, expires, capability: granted, ...clientId && { clientId } };
      assert.deepEqual(details, expected);
      assert.equal(ably.tokens.read(token).expires, expires);
    });

    test("ably-python's writing, with null for what it leaves out", async (t) => {
      const ably = await start(t, { keys: [{ key: 'appid.keyid:secret' }], now: () => NOW });
      const { status, body } = await requestToken(ably, generatedDefaults.pythonWireForm);
      assert.deepEqual([status, body.expires - body.issued], [201, HOUR]);
    });
  });

  suite('canonical text', () => {
    const DIFFERENT = ['tr-29']; // JavaScript puts names that look like integers first
    const texts = vectors.filter(({ id, capabilityText }) => capabilityText && !(id in REFUSED));
    assert.equal(texts.length, 17);
    rows(texts.map((vector) => [vector.id, vector]), (t, { id, capabilityText }) => {
      const check = DIFFERENT.includes(id) ? assert.notEqual : assert.equal;
      check(canonical(parse(capabilityText)), capabilityText);
    });
    test('it is sorted', () => {
      const text = '{"10":["history"],"9":["history"],"b":["history","publish"]}';
      assert.equal(canonical({ b: ['publish', 'history'], 9: ['history'], 10: ['history'] }), text);
    });
  });

  suite('members, signed as they are', () => {
    rows([
      ['no more than what is needed', {}, 201],
      ['all', { ttl: 1, capability: '{"room":["publish"]}', clientId: 'alice' }, 201],
      ['two minutes old', { timestamp: NOW - 2 * MINUTE }, 201],
      ['older', { timestamp: NOW - 2 * MINUTE - 1 }, 40104],
      ['two minutes ahead', { timestamp: NOW + 2 * MINUTE }, 201],
      ['further ahead', { timestamp: NOW + 2 * MINUTE + 1 }, 40104],
      ['a nonce of 16 characters', { nonce: 'x'.repeat(16) }, 201],
      ['a nonce of 15', { nonce: 'x'.repeat(15) }, 40001],
      ['a nonce that is a number', { nonce: 1234567890123456 }, 40001],
      ['a timestamp that is a string', { timestamp: String(NOW) }, 40001],
      ['no timestamp', { timestamp: undefined }, 40001],
      ['no nonce', { nonce: undefined }, 40001],
      ['ttl as a string', { ttl: '60000' }, 201],
      ['ttl of a day', { ttl: DAY }, 201],
      ['ttl of more', { ttl: DAY + 1 }, 40003],
      ['ttl of an hour, revocable', { ttl: HOUR }, 201, REVOCABLE],
      ['ttl of more, revocable', { ttl: HOUR + 1 }, 40003, REVOCABLE],
      ['ttl 0', { ttl: 0 }, 40003],
      ['ttl 0 as a string', { ttl: '0' }, 40003],
      ['ttl negative', { ttl: -1 }, 40003],
      ['ttl fractional', { ttl: 1.5 }, 40003],
      ['ttl in words', { ttl: 'an hour' }, 40003],
      ['ttl hexadecimal', { ttl: '0x10' }, 40003],
      ['ttl empty', { ttl: '' }, 40003],
      ['ttl a boolean', { ttl: true }, 40001],
      ['clientId *', { clientId: '*' }, 201],
      ['clientId empty', { clientId: '' }, 40012],
      ['clientId with a *', { clientId: 'alice*' }, 40012],
      ['clientId of two lines', { clientId: 'alice\n1700000000000' }, 40012],
      ['clientId with a carriage return', { clientId: 'alice\r' }, 40012],
      ['clientId a number', { clientId: 7 }, 40001],
      ['a member that there is not', { revocable: true }, 40001],
      ["a member of every object's", { constructor: 'x' }, 40001],
      ['capability malformed', { capability: '{"room":["read"]}' }, 40000],
      ['capability malformed, not in ASCII', { capability: '{"部屋":["読む"]}' }, 40000],
      ['capability an object', { capability: { room: ['publish'] } }, 40001],
      ['capability beyond the key', { capability: '{"hall:1":["publish"],"room:1":["history"]}' }, 40160, NARROW],
    ], async (t, members, expected, key = KEY) => {
      const ably = await start(t, { now: () => NOW });
      const answer = await requestToken(ably, tokenRequest(members, key), nameOf(key));
      if (expected !== 201) return assertError(answer, expected, String(expected).startsWith('401') ? 401 : 400);
      assert.equal(answer.status, 201);
    });
  });

  suite('capability with a key that has less than all', () => {
    rows([
      ['none: all of the key', undefined, '{"room:*":["publish","subscribe"]}'],
      ['within', '{"room:1":["publish"]}', '{"room:1":["publish"]}'],
      ['in part', '{"hall:1":["publish"],"room:1":["history","subscribe"]}', '{"room:1":["subscribe"]}'],
      ['beyond', '{"*":["*"]}', '{"room:*":["publish","subscribe"]}'],
    ], async (t, capability, granted) => {
      const ably = await start(t, { now: () => NOW });
      const { body } = await requestToken(ably, tokenRequest({ capability }, NARROW));
      assert.equal(body.capability, granted);
    });
  });

  test('a nonce is good once, with its timestamp and key', async (t) => {
    const ably = await start(t, { now: () => NOW });
    for (const [members, key] of [[{}], [{ timestamp: NOW + 1 }], [{ nonce: `${NONCE}0` }], [{}, NARROW]]) {
      assert.equal((await requestToken(ably, tokenRequest(members, key))).status, 201);
    }
    assertError(await requestToken(ably, tokenRequest()), 40105, 401);
    assertError(await requestToken(ably, tokenRequest({ ttl: 1000 })), 40105, 401);
  });

  test('a request with a wrong mac uses no nonce up', async (t) => {
    const ably = await start(t, { now: () => NOW });
    assertError(await requestToken(ably, { ...tokenRequest(), mac: 'wrong' }), 40101, 401);
    assert.equal((await requestToken(ably, tokenRequest())).status, 201);
  });

  suite('elsewhere and otherwise', () => {
    const good = JSON.stringify(tokenRequest());
    rows([
      ['as it should be', 'POST', '/keys/app.key/requestToken', good, 201],
      ['the path escaped', 'POST', '/keys/app%2Ekey/requestToken', good, 201],
      ['the path of another key', 'POST', '/keys/app.narrow/requestToken', good, 40001, 400],
      ['a key that there is not', 'POST', '/keys/app.no/requestToken', tokenRequest({}, 'app.no:x'), 40400, 404],
      ['no JSON', 'POST', '/keys/app.key/requestToken', 'keyName=app.key', 40001, 400],
      ['nothing', 'POST', '/keys/app.key/requestToken', '', 40001, 400],
      ['null', 'POST', '/keys/app.key/requestToken', 'null', 40001, 400],
      ['a string', 'POST', '/keys/app.key/requestToken', '"app.key"', 40001, 400],
      ['a list', 'POST', '/keys/app.key/requestToken', '[]', 40001, 400],
      ['a list of one', 'POST', '/keys/app.key/requestToken', `[${good}]`, 40001, 400],
      ['PUT', 'PUT', '/keys/app.key/requestToken', good, 40400, 404],
      ['another act', 'POST', '/keys/app.key/askToken', good, 40400, 404],
      ['another path', 'POST', '/key/app.key/requestToken', good, 40400, 404],
    ], async (t, method, path, body, code, statusCode = 201) => {
      const ably = await start(t, { now: () => NOW });
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const response = await fetch(`http://127.0.0.1:${ably.port}${path}`, { method, body: text });
      const answer = { status: response.status, headers: response.headers, body: await response.json() };
      if (code !== 201) assertError(answer, code, statusCode);
      assert.equal(answer.status, statusCode);
      assert.equal(answer.headers.get('access-control-allow-origin'), '*');
      assert.deepEqual(ably.requests, [{ path, status: statusCode }]);
    });

    test('the preflight of a browser', async (t) => {
      const ably = await start(t);
      const response = await fetch(`http://127.0.0.1:${ably.port}/keys/app.key/requestToken`, { method: 'OPTIONS' });
      assert.equal(response.status, 204);
      assert.match(response.headers.get('access-control-allow-headers'), /content-type/);
      assert.deepEqual(ably.requests, []);
    });
  });
});

/** A stand-in's tokens with a clock that is set by hand. */
function tokens(options) {
  const clock = { now: NOW };
  const all = new Tokens({ keys: KEYS, now: () => clock.now, ...options });
  let count = 0;
  const issue = (members, key) => {
    count += 1;
    const request = tokenRequest({ timestamp: clock.now, nonce: `${NONCE}${count}`, ...members }, key);
    return all.exchange(request.keyName, request).token;
  };
  return { all, clock, issue };
}

suite('reading a token', () => {
  test('an Ably token: what was granted, to whom, while it lasts', () => {
    const { all, clock, issue } = tokens();
    const token = issue({ clientId: 'alice', ttl: SECOND, capability: '{"room":["publish"]}' });
    assert.match(token, /^app\./);
    clock.now += SECOND - 1;
    assert.deepEqual(all.read(token), {
      keyName: 'app.key', clientId: 'alice', capability: { room: ['publish'] }, issued: NOW, expires: NOW + SECOND,
    });
    clock.now += 1;
    assert.throws(() => all.read(token), { code: 40142, statusCode: 401 });
  });

  suite('JWTs of other libraries, with the iat that the file speaks of', () => {
    const { vectors } = known('jwt');
    assert.equal(vectors.length, 16);
    const REFUSED = {
      'jwt-13': 40144, // an Ably token within a JWT of the application's is not played here
      'jwt-14': 40144,
      'jwt-16': 40144, // alg none
      'jwt-17': 40144, // HS512
      'jwt-20': 40144, // no exp
      'jwt-22': 40012, // an empty clientId
      'jwt-23': 40012, // a clientId that is no string
    };
    const CURED = 'jwt-19'; // refused for want of an iat
    rows(vectors.map((vector) => [`${vector.id} ${vector.name}`, vector]), (t, vector) => {
      const { id, key, header, payload, token, valid } = vector;
      const all = new Tokens({ keys: [{ key }], now: () => NOW });
      assert.throws(() => all.read(token), { code: 40144 });

      const sign = (claims, headers, by = key) =>
        jwt({ exp: undefined, ...claims }, by, { kid: undefined, ...headers });
      const signed = sign(payload, header);
      if (id in REFUSED) return assert.throws(() => all.read(signed), { code: REFUSED[id] });
      assert.ok(valid || id === CURED);
      const { exp, 'x-ably-clientId': clientId, 'x-ably-capability': text = '{"[*]*":["*"]}' } = payload;
      const [keyName, capability] = [nameOf(key), JSON.parse(text)];
      assert.deepEqual(all.read(signed), { keyName, clientId, capability, issued: NOW, expires: exp * 1000 });

      const [first, second, signature] = signed.split('.');
      for (const wrong of [
        sign(payload, header, `${keyName}:another secret`),
        [sign(payload, { ...header, x: 1 }).split('.')[0], second, signature].join('.'),
        [first, sign({ ...payload, exp: exp + 1 }, header).split('.')[1], signature].join('.'),
        [first, second, signature.slice(0, -1)].join('.'),
        [first, second, ''].join('.'),
      ]) assert.throws(() => all.read(wrong), { code: 40101, statusCode: 401 });
    });
  });

  suite('claims and headers', () => {
    const iat = NOW / 1000;
    rows([
      ['as it should be', {}, 'good'],
      ['iat a minute ahead', { iat: iat + 60 }, 'good'],
      ['iat further ahead', { iat: iat + 61 }, 40144],
      ['iat a text', { iat: String(iat) }, 40144],
      ['no iat', { iat: undefined }, 40144],
      ['no exp', { exp: undefined }, 40144],
      ['exp in a second', { exp: iat + 1 }, 'good'],
      ['exp now', { exp: iat }, 40142],
      ['a day', { exp: iat + 86_400 }, 'good'],
      ['more than a day', { exp: iat + 86_401 }, 40003, 400],
      ['more than a day, most of it gone', { iat: iat - 86_400, exp: iat + 1 }, 40003, 400],
      ['an hour, revocable', { exp: iat + 3600 }, 'good', 201, REVOCABLE],
      ['more than an hour, revocable', { exp: iat + 3601 }, 40003, 400, REVOCABLE],
      ['clientId *', { 'x-ably-clientId': '*' }, 'good'],
      ['clientId with a *', { 'x-ably-clientId': 'a*' }, 40012, 400],
      ['clientId null', { 'x-ably-clientId': null }, 40012, 400],
      ['capability an object', { 'x-ably-capability': { room: ['publish'] } }, 40144],
      ['capability null', { 'x-ably-capability': null }, 40144],
      ['capability empty', { 'x-ably-capability': '' }, 40000, 400],
      ['capability malformed', { 'x-ably-capability': '{"room":["read"]}' }, 40000, 400],
      ['capability within the key', { 'x-ably-capability': '{"room:1":["publish"]}' }, 'good', 201, NARROW],
      ['capability beyond the key', { 'x-ably-capability': '{"hall":["publish"]}' }, 40160, 401, NARROW],
      ['no kid', {}, 40144, 401, KEY, { kid: undefined }],
      ['a kid that there is not', {}, 40400, 404, KEY, { kid: 'app.no' }],
      ['the kid of another key', {}, 40101, 401, KEY, { kid: 'app.narrow' }],
      ['alg none', {}, 40144, 401, KEY, { alg: 'none' }],
      ['alg HS512', {}, 40144, 401, KEY, { alg: 'HS512' }],
    ], (t, claims, code, statusCode = 401, key = KEY, header = {}) => {
      const { all } = tokens();
      const read = () => all.read(jwt(claims, key, header));
      if (code === 'good') assert.equal(read().keyName, nameOf(key));
      else assert.throws(read, { code, statusCode });
    });
  });

  suite('what is no token', () => {
    rows([
      ['nothing', undefined, 40101],
      ['an empty one', '', 40101],
      ["one of this app's that was not issued", 'app.AAAAAAAAAAAAAAAAAAAAAAAA', 40143],
      ['two dots and nothing', '..', 40144],
      ['no JSON', 'YWJj.YWJj.YWJj', 40144],
      ['null', `${Buffer.from('null').toString('base64url')}.${Buffer.from('null').toString('base64url')}.`, 40144],
    ], (t, token, code) => assert.throws(() => tokens().all.read(token), { code, statusCode: 401 }));
  });
});

suite('revokeTokens', () => {
  const targets = (count) => Array.from({ length: count }, (_, i) => `clientId:${i}`);

  suite('requests', () => {
    rows([
      ['as it should be', basic(REVOCABLE), {}, 201],
      ['100 targets', basic(REVOCABLE), { targets: targets(100) }, 201],
      ['101 targets', basic(REVOCABLE), { targets: targets(101) }, 40001, 400],
      ['no target', basic(REVOCABLE), { targets: [] }, 40001, 400],
      ['targets not a list', basic(REVOCABLE), { targets: 'clientId:alice' }, 40001, 400],
      ['targets missing', basic(REVOCABLE), { targets: undefined }, 40001, 400],
      ['a member that there is not', basic(REVOCABLE), { target: 'clientId:alice' }, 40001, 400],
      ['issued before now', basic(REVOCABLE), { issuedBefore: NOW }, 201],
      ['issued before what is to come', basic(REVOCABLE), { issuedBefore: NOW + 1 }, 40003, 400],
      ['issued before an hour ago', basic(REVOCABLE), { issuedBefore: NOW - HOUR }, 201],
      ['issued before more than an hour ago', basic(REVOCABLE), { issuedBefore: NOW - HOUR - 1 }, 40003, 400],
      ['issued before a text', basic(REVOCABLE), { issuedBefore: 'now' }, 40003, 400],
      ['no credentials', {}, {}, 40101, 401],
      ['token authentication', { authorization: `Bearer ${jwt({}, REVOCABLE)}` }, {}, 40162, 401],
      ['another secret', basic('app.revocable:guessed'), {}, 40101, 401],
      ['no secret', basic('app.revocable:'), {}, 40101, 401],
      ['the key of an app that there is not', basic('no.key:secret'), {}, 40400, 404],
      ['another key', basic(KEY), {}, 40133, 401],
      ['another key, with a guessed secret', basic('app.key:guessed'), {}, 40101, 401],
      ['a key without revocable tokens', basic(KEY), {}, 40163, 401, KEY],
    ], async (t, headers, members, code, statusCode, key = REVOCABLE) => {
      const ably = await start(t, { now: () => NOW });
      const body = { targets: ['clientId:alice'], ...members };
      const answer = await revokeTokens(ably, body, headers, key);
      if (code === 201) assert.equal(answer.status, 201);
      else assertError(answer, code, statusCode);
    });

    rows([
      ['no JSON', 'targets', /JSON/],
      ['null', 'null', /targets/],
    ], async (t, body, message) => {
      const ably = await start(t, { now: () => NOW });
      const answer = await revokeTokens(ably, body);
      assertError(answer, 40001, 400);
      assert.match(answer.body.error.message, message);
    });
  });

  suite('answers', () => {
    const results = [
      { target: 'clientId:a:b', issuedBefore: NOW - 1, appliesAt: NOW }, { target: 'channel:room', error: 40000 },
    ];
    const counted = { successCount: 1, failureCount: 1, results };
    rows([
      ['version 3', { 'x-ably-version': '3' }, counted],
      ['version 6', { 'x-ably-version': '6' }, counted],
      ['version 2', { 'x-ably-version': '2' }, results],
      ['no version', {}, results],
    ], async (t, version, expected) => {
      const ably = await start(t, { now: () => NOW });
      const body = { targets: ['clientId:a:b', 'channel:room'], issuedBefore: NOW - 1 };
      const answer = await revokeTokens(ably, body, { ...basic(REVOCABLE), ...version });
      const codes = JSON.parse(JSON.stringify(answer.body), (name, value) => (name === 'error' ? value.code : value));
      assert.deepEqual(codes, expected);
    });
  });

  suite('what is revoked', () => {
    const alice = { 'x-ably-clientId': 'alice' };
    rows([
      ["the client's, of this key, issued before", alice, {}, 40141],
      ['issued at that moment', alice, { issuedBefore: NOW - MINUTE }, 'good'],
      ['issued after it', alice, { issuedBefore: NOW - MINUTE - 1 }, 'good'],
      ['issued just before it', alice, { issuedBefore: NOW - MINUTE + 1 }, 40141],
      ["another client's", { 'x-ably-clientId': 'bob' }, {}, 'good'],
      ["nobody's", {}, {}, 'good'],
      ['of another key', alice, {}, 'good', KEY],
      ['with a margin, within it', alice, { allowReauthMargin: true }, 'good', REVOCABLE, 29_999],
      ['with a margin, after it', alice, { allowReauthMargin: true }, 40141, REVOCABLE, 30_000],
      ['without a margin, by that word', alice, { allowReauthMargin: false }, 40141],
    ], (t, claims, members, code, key = REVOCABLE, later = 0) => {
      const { all, clock } = tokens();
      const token = jwt({ iat: (NOW - MINUTE) / 1000, exp: NOW / 1000 + 600, ...claims }, key);
      all.read(token);
      all.revoke('app.revocable', basic(REVOCABLE).authorization, { targets: ['clientId:alice'], ...members });
      clock.now += later;
      if (code === 'good') all.read(token);
      else assert.throws(() => all.read(token), { code, statusCode: 401 });
    });

    test('an Ably token, and not the next one', () => {
      const { all, clock, issue } = tokens();
      const former = issue({ clientId: 'alice' }, REVOCABLE);
      clock.now += 1;
      all.revoke('app.revocable', basic(REVOCABLE).authorization, { targets: ['clientId:alice'] });
      assert.throws(() => all.read(former), { code: 40141 });
      all.read(issue({ clientId: 'alice' }, REVOCABLE));
    });
  });
});

// What the realtime service says, in a line each: the action, then the channel, the serial, who and what, the error.
const ACTIONS = [
  'HEARTBEAT', 'ACK', 'NACK', 'CONNECT', 'CONNECTED', 'DISCONNECT', 'DISCONNECTED', 'CLOSE', 'CLOSED', 'ERROR',
  'ATTACH', 'ATTACHED', 'DETACH', 'DETACHED', 'PRESENCE', 'MESSAGE', 'SYNC', 'AUTH',
];
const PRESENCE = ['absent', 'present', 'enter', 'leave', 'update'];
const MODE = { PRESENCE: 1 << 16, PUBLISH: 1 << 17, SUBSCRIBE: 1 << 18, PRESENCE_SUBSCRIBE: 1 << 19 };
const FLAG = { HAS_PRESENCE: 1, RESUMED: 4, ...MODE };

const attach = (channel, members) => ({ action: ACTIONS.indexOf('ATTACH'), channel, ...members });
const detach = (channel) => ({ action: ACTIONS.indexOf('DETACH'), channel });
const publish = (channel, data, members) =>
  ({ action: ACTIONS.indexOf('MESSAGE'), channel, messages: [{ data, ...members }] });
const presence = (act, channel, members) =>
  ({ action: ACTIONS.indexOf('PRESENCE'), channel, presence: [{ action: PRESENCE.indexOf(act), ...members }] });
const auth = (accessToken) => ({ action: ACTIONS.indexOf('AUTH'), auth: { accessToken } });

function line({ action, channel, msgSerial, messages = [], presence: members = [], error }) {
  const of = ({ clientId }) => (clientId ? [clientId] : []);
  return [
    ACTIONS[action], channel, msgSerial,
    ...messages.flatMap((message) => [...of(message), message.data]),
    ...members.flatMap((member) => [...of(member), PRESENCE[member.action]]),
    error && `${error.code}/${error.statusCode}`,
  ].filter((part) => part !== undefined).join(' ');
}

/** A client without an SDK, which shows all that it is told. */
class Client {
  #msgSerial = 0;

  static async connect(t, ably, query) {
    const client = new Client();
    client.socket = new WebSocket(`ws://127.0.0.1:${ably.port}/?${new URLSearchParams(query)}`);
    client.told = on(client.socket, 'message', { close: ['close'], signal: AbortSignal.timeout(LONG) });
    await once(client.socket, 'open');
    return client;
  }

  send(message) {
    const msgSerial = message.messages || message.presence ? { msgSerial: this.#msgSerial++ } : {};
    this.socket.send(JSON.stringify({ ...msgSerial, ...message }));
  }

  /** The next that it is told, 'closed' at the end; gives the last of them whole. */
  async hears(...lines) {
    let message;
    for (const expected of lines) {
      const { value, done } = await this.told.next().catch(() => assert.fail(`not heard: ${expected}`));
      message = done ? undefined : JSON.parse(value[0]);
      assert.equal(done ? 'closed' : line(message), expected);
    }
    return message;
  }

  /** Nothing is under way to it: what it sends now comes back first. */
  async hearsNothing() {
    this.send({ action: 0, id: 'ping' });
    const { id } = await this.hears('HEARTBEAT');
    assert.equal(id, 'ping');
  }
}

/** Time that passes when a test says so, for a stand-in: its clock and its timers. */
class Time {
  #now = NOW;
  #waiting = new Set();
  now = () => this.#now;

  after = (delay, act) => {
    const one = { time: this.#now + delay, act };
    this.#waiting.add(one);
    return () => this.#waiting.delete(one);
  };

  get isWaitedFor() {
    return this.#waiting.size > 0;
  }

  /** What is due happens in its order, and at its time. */
  pass(ms) {
    const end = this.#now + ms;
    const next = () => [...this.#waiting].filter(({ time }) => time <= end).sort((a, b) => a.time - b.time)[0];
    for (let one = next(); one; one = next()) {
      this.#waiting.delete(one);
      this.#now = Math.max(this.#now, one.time);
      one.act();
    }
    this.#now = end;
  }
}

const grant = (capability, clientId) =>
  ({ 'x-ably-capability': JSON.stringify(capability), 'x-ably-clientId': clientId });
const ALL = { '*': ['*'] };

/** A client of this name that has connected. */
async function connected(t, ably, clientId, capability = ALL, key = KEY, query = {}) {
  const client = await Client.connect(t, ably, { access_token: jwt(grant(capability, clientId), key), ...query });
  client.details = await client.hears('CONNECTED');
  return client;
}

suite('connecting', () => {
  const [alice, mallory] = [{ 'x-ably-clientId': 'alice' }, { 'x-ably-clientId': 'mallory' }];
  const iat = NOW / 1000;
  rows([
    ['with a JWT', () => jwt(), {}, 'CONNECTED'],
    ['with an Ably token', (ably) => ably.tokens.exchange('app.key', tokenRequest()).token, {}, 'CONNECTED'],
    ['by the other name of the parameter', () => undefined, { accessToken: jwt() }, 'CONNECTED'],
    ['in JSON', () => jwt(), { format: 'json' }, 'CONNECTED'],
    ['in MessagePack', () => jwt(), { format: 'msgpack' }, 'ERROR 40000/400'],
    ['without a token', () => undefined, {}, 'ERROR 40101/401'],
    ['with a key', () => undefined, { key: KEY }, 'ERROR 40101/401'],
    ['with a token that there is not', () => 'app.unknown', {}, 'ERROR 40143/401'],
    ['with an expired one', () => jwt({ iat: iat - 60, exp: iat }), {}, 'ERROR 40142/401'],
    ['with a revoked one', () => jwt({ ...mallory, iat: iat - 60, exp: iat + 60 }, REVOCABLE), {}, 'ERROR 40141/401'],
    ['with a bad JWT', () => jwt({}, KEY, { alg: 'none' }), {}, 'ERROR 40144/401'],
    ['with a JWT by another secret', () => jwt({}, 'app.key:guessed'), {}, 'ERROR 40101/401'],
    ['with a JWT of a key that there is not', () => jwt({}, 'app.no:secret'), {}, 'ERROR 40400/404'],
    ['with a JWT for longer than a day', () => jwt({ exp: iat + 86_401 }), {}, 'ERROR 40003/400'],
    ['as the one of the token', () => jwt(alice), { clientId: 'alice' }, 'CONNECTED', 'alice'],
    ['as nobody, with a token of one', () => jwt(alice), {}, 'CONNECTED', 'alice'],
    ['as another', () => jwt(alice), { clientId: 'bob' }, 'ERROR 40102/401'],
    ['as one, with a token of nobody', () => jwt(), { clientId: 'bob' }, 'ERROR 40101/401'],
    ['as one, with a token of anybody', () => jwt({ 'x-ably-clientId': '*' }), { clientId: 'bob' }, 'CONNECTED', 'bob'],
    ['as nobody, with a token of anybody', () => jwt({ 'x-ably-clientId': '*' }), {}, 'CONNECTED', '*'],
  ], async (t, token, query, expected, clientId) => {
    const ably = await start(t, { now: () => NOW });
    await revokeTokens(ably, { targets: ['clientId:mallory'] });
    const accessToken = token(ably);
    const client = await Client.connect(t, ably, { ...query, ...accessToken && { access_token: accessToken } });
    const { connectionId, connectionDetails } = await client.hears(expected);
    if (expected === 'CONNECTED') {
      const [connection] = ably.of(clientId);
      assert.equal(connectionDetails.clientId, clientId);
      assert.equal(connectionId, connection.id);
      assert.equal(connectionDetails.connectionKey, connection.key);
      await client.hearsNothing();
    } else {
      await client.hears('closed');
      assert.equal(ably.connections.size, 0);
    }
  });

  test('a heartbeat every five seconds', async (t) => {
    const { mock } = t.mock.method(globalThis, 'setInterval', () => ({ unref: () => {} }));
    const ably = await start(t, { now: () => NOW });
    const client = await connected(t, ably, 'alice');
    const [act, delay] = mock.calls[0].arguments;
    assert.equal(delay, 5 * SECOND);
    await client.hearsNothing();
    act();
    await client.hears('HEARTBEAT');
  });
});

suite('on one connection', () => {
  const room = (...operations) => ({ room: operations });
  rows([
    ['attach', room('subscribe'), [attach('room')], ['ATTACHED room']],
    ['attach with another right', room('publish'), [attach('room')], ['ATTACHED room']],
    ['attach without one', room('history'), [attach('room')], ['ERROR room 40160/401']],
    ['attach to another', room('*'), [attach('room:1')], ['ERROR room:1 40160/401']],
    ['attach in a mode without the right', room('publish'), [attach('room', { flags: MODE.SUBSCRIBE })], [
      'ERROR room 40160/401',
    ]],
    ['one fails, another does not', room('subscribe'), [attach('hall'), attach('room')], [
      'ERROR hall 40160/401', 'ATTACHED room',
    ]],
    ['publish', room('publish'), [attach('room'), publish('room', 'x')], ['ATTACHED room', 'ACK 0']],
    ['publish and hear', room('publish', 'subscribe'), [attach('room'), publish('room', 'x'), publish('room', 'y')], [
      'ATTACHED room', 'ACK 0', 'MESSAGE room alice x', 'ACK 1', 'MESSAGE room alice y',
    ]],
    ['publish again what was published', room('*'), [
      attach('room'), publish('room', 'x'), { ...publish('room', 'x'), msgSerial: 0 },
    ], ['ATTACHED room', 'ACK 0', 'MESSAGE room alice x', 'ACK 0']],
    ['publish without attaching', room('publish'), [publish('room', 'x')], ['ACK 0']],
    ['publish without the right', room('subscribe'), [attach('room'), publish('room', 'x')], [
      'ATTACHED room', 'NACK 0 40160/401',
    ]],
    ['publish without the right or attaching', room('subscribe'), [publish('room', 'x')], ['NACK 0 40160/401']],
    ['publish elsewhere', room('publish'), [publish('hall', 'x')], ['NACK 0 40160/401']],
    ['publish in a mode not asked for', room('*'), [attach('room', { flags: MODE.SUBSCRIBE }), publish('room', 'x')], [
      'ATTACHED room', 'NACK 0 40165/401',
    ]],
    ['hear in a mode not asked for', room('*'), [attach('room', { flags: MODE.PUBLISH }), publish('room', 'x')], [
      'ATTACHED room', 'ACK 0',
    ]],
    ['enter', room('presence', 'subscribe'), [attach('room'), presence('enter', 'room')], [
      'ATTACHED room', 'ACK 0', 'PRESENCE room alice enter',
    ]],
    ['enter and leave', room('presence', 'subscribe'), [
      attach('room'), presence('enter', 'room'), presence('leave', 'room'), attach('room'),
    ], [
      'ATTACHED room', 'ACK 0', 'PRESENCE room alice enter', 'ACK 1', 'PRESENCE room alice leave', 'ATTACHED room',
    ]],
    ['enter without hearing', room('presence'), [attach('room'), presence('enter', 'room'), attach('room')], [
      'ATTACHED room', 'ACK 0', 'ATTACHED room',
    ]],
    ['enter without the right', room('subscribe'), [attach('room'), presence('enter', 'room')], [
      'ATTACHED room', 'NACK 0 40160/401',
    ]],
    ['enter in a mode not asked for', room('*'), [
      attach('room', { flags: MODE.PRESENCE_SUBSCRIBE }), presence('enter', 'room'),
    ], ['ATTACHED room', 'NACK 0 40165/401']],
    ['enter in another mode', room('*'), [attach('room', { flags: MODE.PUBLISH }), presence('enter', 'room')], [
      'ATTACHED room', 'NACK 0 40165/401',
    ]],
    ['enter in that mode', room('*'), [attach('room', { flags: MODE.PRESENCE }), presence('enter', 'room')], [
      'ATTACHED room', 'ACK 0',
    ]],
    ['enter again who has entered', room('*'), [
      attach('room'), presence('enter', 'room'), { ...presence('enter', 'room'), msgSerial: 0 },
    ], ['ATTACHED room', 'ACK 0', 'PRESENCE room alice enter', 'ACK 0']],
    ['the present are not present elsewhere', { '*': ['*'] }, [
      attach('room'), presence('enter', 'room'), attach('hall'),
    ], ['ATTACHED room', 'ACK 0', 'PRESENCE room alice enter', 'ATTACHED hall']],
    ['enter without attaching', room('presence'), [presence('enter', 'room')], ['NACK 0 91001/400']],
    ['enter after detaching', room('*'), [attach('room'), detach('room'), presence('enter', 'room')], [
      'ATTACHED room', 'DETACHED room', 'NACK 0 91001/400',
    ]],
    ['the present are told to who attaches', room('presence', 'subscribe'), [
      attach('room'), presence('enter', 'room'), attach('room'),
    ], ['ATTACHED room', 'ACK 0', 'PRESENCE room alice enter', 'ATTACHED room', 'SYNC room alice present']],
    ['detach, and hear no more', room('*'), [attach('room'), detach('room'), publish('room', 'x')], [
      'ATTACHED room', 'DETACHED room', 'ACK 0',
    ]],
    ['close', room('*'), [{ action: 7 }], ['CLOSED', 'closed']],
    ['disconnect', room('*'), [{ action: 5 }], ['closed']],
    ['an action that there is not', room('*'), [{ action: 99 }], ['ERROR 40000/400', 'closed']],
  ], async (t, capability, said, told) => {
    const ably = await start(t, { now: () => NOW });
    const client = await connected(t, ably, 'alice', capability);
    for (const message of said) client.send(message);
    await client.hears(...told);
    if (!told.includes('closed')) await client.hearsNothing();
  });

  suite('flags of an attachment: what was asked for and is permitted', () => {
    rows([
      ['everything', ['*'], 0, MODE.PRESENCE | MODE.PUBLISH | MODE.SUBSCRIBE | MODE.PRESENCE_SUBSCRIBE],
      ['subscribe', ['subscribe'], 0, MODE.SUBSCRIBE | MODE.PRESENCE_SUBSCRIBE],
      ['publish', ['publish'], 0, MODE.PUBLISH],
      ['presence', ['presence'], 0, MODE.PRESENCE],
      ['a mode', ['*'], MODE.SUBSCRIBE, MODE.SUBSCRIBE],
      ['two modes, one of them permitted', ['publish'], MODE.PUBLISH | MODE.PRESENCE, MODE.PUBLISH],
    ], async (t, operations, flags, expected) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice', { room: operations });
      client.send(attach('room', { flags }));
      assert.equal((await client.hears('ATTACHED room')).flags, expected);
    });
  });

  suite('who speaks', () => {
    rows([
      ['alice, not saying so', { clientId: 'alice' }, {}, 'alice'],
      ['alice, saying so', { clientId: 'alice' }, { clientId: 'alice' }, 'alice'],
      ['alice, as bob', { clientId: 'alice' }, { clientId: 'bob' }, '40012/400'],
      ['nobody', {}, {}, undefined],
      ['nobody, as bob', {}, { clientId: 'bob' }, '40012/400'],
      ['anybody, as bob', { clientId: '*' }, { clientId: 'bob' }, 'bob'],
      ['anybody, as nobody', { clientId: '*' }, {}, undefined],
      ['anybody who chose bob', { clientId: '*', claimed: 'bob' }, {}, 'bob'],
      ['anybody who chose bob, as alice', { clientId: '*', claimed: 'bob' }, { clientId: 'alice' }, '40012/400'],
    ], async (t, { clientId, claimed }, message, expected) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, clientId, ALL, KEY, claimed && { clientId: claimed });
      client.send(attach('room'));
      client.send(publish('room', 'x', message));
      client.send(presence('enter', 'room', message));
      await client.hears('ATTACHED room');
      if (expected?.endsWith('/400')) return client.hears(`NACK 0 ${expected}`, `NACK 1 ${expected}`);
      const { messages: [published] } = await client.hears('ACK 0', `MESSAGE room ${expected ? `${expected} ` : ''}x`);
      assert.equal(published.connectionId, client.details.connectionId);
      assert.ok(published.id.startsWith(published.connectionId));
      assert.equal(published.timestamp, NOW);
      if (expected) return client.hears('ACK 1', `PRESENCE room ${expected} enter`);
      return client.hears('NACK 1 91000/400');
    });
  });
});

suite('between connections', () => {
  test('messages go to who is attached, permitted, and asked for them', async (t) => {
    const ably = await start(t, { now: () => NOW });
    const [alice, bob, dave] = await Promise.all(['alice', 'bob', 'dave'].map((name) => connected(t, ably, name)));
    const carol = await connected(t, ably, 'carol', { room: ['publish'] });
    for (const [client, flags] of [[bob], [carol], [dave, MODE.PRESENCE]]) {
      client.send(attach('room', { flags }));
      await client.hears('ATTACHED room');
    }
    for (const message of [publish('room', 'x'), publish('hall', 'y')]) alice.send(message);
    await alice.hears('ACK 0', 'ACK 1');
    await bob.hears('MESSAGE room alice x');
    for (const client of [alice, bob, carol, dave]) await client.hearsNothing();
  });

  suite('members leave', () => {
    rows([
      ['by detaching', (client) => client.send(detach('room'))],
      ['by closing', (client) => client.send({ action: 7 })],
      ['by a token without the channel', (client) => client.send(auth(jwt(grant({ hall: ['*'] }, 'alice'))))],
      ['by a token that does not fit', (client) => client.send(auth(jwt(grant(ALL, 'bob'))))],
    ], async (t, leave) => {
      const ably = await start(t, { now: () => NOW });
      const [alice, bob] = [await connected(t, ably, 'alice'), await connected(t, ably, 'bob')];
      for (const client of [alice, bob]) {
        client.send(attach('room'));
        await client.hears('ATTACHED room');
      }
      alice.send(presence('enter', 'room'));
      await bob.hears('PRESENCE room alice enter');
      bob.send(presence('enter', 'room'));
      await bob.hears('ACK 0', 'PRESENCE room bob enter');
      leave(alice);
      await bob.hears('PRESENCE room alice leave');
      bob.send(attach('room'));
      await bob.hears('ATTACHED room', 'SYNC room bob present');
      await bob.hearsNothing();
    });
  });
});

suite('another token for the same connection', () => {
  const iat = NOW / 1000;
  const [any, alice] = [{ 'x-ably-clientId': '*' }, { 'x-ably-clientId': 'alice' }];
  rows([
    ['of the same client', jwt(alice), jwt({ ...alice, exp: iat + 60 }), 'CONNECTED'],
    ['of nobody again', jwt(), jwt(), 'CONNECTED'],
    ['of anybody again', jwt(any), jwt(any), 'CONNECTED'],
    ['of another client', jwt(alice), jwt({ 'x-ably-clientId': 'bob' }), 'ERROR 40102/401'],
    ['of nobody', jwt(alice), jwt(), 'ERROR 40102/401'],
    ['of one where there was none', jwt(), jwt(alice), 'ERROR 40102/401'],
    ['of anybody where there was none', jwt(), jwt(any), 'ERROR 40102/401'],
    ['of one where there was anybody', jwt(any), jwt(alice), 'ERROR 40102/401'],
    ['of another key', jwt(alice), jwt(alice, NARROW), 'ERROR 40102/401'],
    ['of another app', jwt(alice), jwt(alice, STRANGER), 'ERROR 40102/401'],
    ['expired', jwt(alice), jwt({ ...alice, iat: iat - 60, exp: iat }), 'ERROR 40142/401'],
    ['revoked', jwt(alice, REVOCABLE), jwt({ ...alice, iat: iat - 60, exp: iat + 60 }, REVOCABLE), 'ERROR 40141/401'],
    ['that there is not', jwt(alice), 'app.unknown', 'ERROR 40143/401'],
    ['missing', jwt(alice), undefined, 'ERROR 40101/401'],
    ['that permits nothing', jwt(alice, NARROW), jwt(grant({ hall: ['*'] }, 'alice'), NARROW), 'ERROR 40160/401'],
  ], async (t, first, second, expected) => {
    const ably = await start(t, { now: () => NOW });
    await revokeTokens(ably, { targets: ['clientId:alice'], issuedBefore: NOW - SECOND });
    const client = await Client.connect(t, ably, { access_token: first });
    const { connectionId } = await client.hears('CONNECTED');
    client.send(auth(second));
    const answer = await client.hears(expected);
    if (expected === 'CONNECTED') {
      assert.equal(answer.connectionId, connectionId);
      await client.hearsNothing();
    } else {
      await client.hears('closed');
      assert.equal(ably.connections.size, 0);
    }
  });

  suite('its capability replaces the former', () => {
    const both = { room: ['subscribe', 'publish'], hall: ['subscribe'] };
    const [ROOM, HALL] = ['ERROR room 40160/401', 'ERROR hall 40160/401'];
    const [PUBLISHED, REFUSED] = [['ACK 0', 'MESSAGE room alice x'], ['NACK 0 40160/401']];
    rows([
      ['the same', both, [], PUBLISHED, 'room,hall'],
      ['another channel less', { room: both.room }, [HALL], PUBLISHED, 'room'],
      ['the channel less', { hall: both.hall }, [ROOM], REFUSED, 'hall'],
      ['both less', { other: ['*'] }, [ROOM, HALL], REFUSED, ''],
      ['only publish lost', { ...both, room: ['subscribe'] }, [], REFUSED, 'room,hall'],
      ['only subscribe lost', { ...both, room: ['publish'] }, [], ['ACK 0'], 'room,hall'],
      ['what is left is no mode', { ...both, room: ['history'] }, [ROOM], REFUSED, 'hall'],
    ], async (t, capability, failed, published, left) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice', both);
      client.send(attach('room'));
      client.send(attach('hall'));
      client.send(auth(jwt(grant(capability, 'alice'))));
      client.send(publish('room', 'x'));
      const { connectionId } = await client.hears('ATTACHED room', 'ATTACHED hall', 'CONNECTED');
      assert.equal(connectionId, client.details.connectionId);
      await client.hears(...failed, ...published);
      await client.hearsNothing();
      assert.equal([...ably.of('alice')[0].channels.keys()].join(), left);
    });

    test('a channel that failed may be attached to again, when it is permitted again', async (t) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice', both);
      client.send(attach('room'));
      client.send(auth(jwt(grant({ hall: both.hall }, 'alice'))));
      client.send(attach('room'));
      client.send(auth(jwt(grant(both, 'alice'))));
      client.send(attach('room'));
      await client.hears('ATTACHED room', 'CONNECTED', ROOM, ROOM, 'CONNECTED', 'ATTACHED room');
    });

    test('a right gained is good at once where it was asked for before', async (t) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice', { room: ['subscribe'] });
      client.send(attach('room'));
      client.send(publish('room', 'x'));
      client.send(auth(jwt(grant({ room: ['*'] }, 'alice'))));
      client.send(publish('room', 'y'));
      await client.hears('ATTACHED room', 'NACK 0 40160/401', 'CONNECTED', 'ACK 1', 'MESSAGE room alice y');
    });
  });
});

suite('time', () => {
  const short = (clientId, lifetime, key) => {
    const exp = (NOW + lifetime) / 1000;
    return { access_token: jwt({ 'x-ably-clientId': clientId, exp }, key) };
  };

  test('an expired token disconnects, and another resumes', async (t) => {
    const time = new Time();
    const ably = await start(t, time);
    const client = await Client.connect(t, ably, short('alice', 10 * SECOND));
    const { connectionId, connectionDetails } = await client.hears('CONNECTED');
    time.pass(10 * SECOND - 1);
    await client.hearsNothing();
    time.pass(1);
    await client.hears('DISCONNECTED 40142/401', 'closed');

    const query = { resume: connectionDetails.connectionKey, access_token: jwt({ 'x-ably-clientId': 'alice' }) };
    const again = await Client.connect(t, ably, query);
    assert.equal((await again.hears('CONNECTED')).connectionId, connectionId);
    await again.hearsNothing();
  });

  test('an expired token that was renewed in time disconnects nobody', async (t) => {
    const time = new Time();
    const ably = await start(t, time);
    const client = await Client.connect(t, ably, short('alice', 10 * SECOND));
    client.send(auth(jwt({ 'x-ably-clientId': 'alice' })));
    await client.hears('CONNECTED', 'CONNECTED');
    time.pass(10 * SECOND);
    await client.hearsNothing();
  });

  test('no timer is left when all has stopped', async (t) => {
    const time = new Time();
    const ably = await start(t, time);
    const clients = await Promise.all(['alice', 'bob'].map((name) => connected(t, ably, name)));
    ably.of('alice')[0].drop();
    await clients[0].hears('closed');
    assert.ok(time.isWaitedFor);
    await ably.stop();
    assert.ok(!time.isWaitedFor);
    await clients[1].hears('closed');
  });

  suite('prompts before the end', () => {
    rows([
      ['half a minute before', {}, MINUTE, 30 * SECOND],
      ['as long before as was said', { promptBefore: SECOND }, MINUTE, 59 * SECOND],
    ], async (t, options, lifetime, when) => {
      const time = new Time();
      const ably = await start(t, { ...time, ...options });
      const client = await Client.connect(t, ably, short('alice', lifetime));
      await client.hears('CONNECTED');
      time.pass(when - 1);
      await client.hearsNothing();
      time.pass(1);
      await client.hears('AUTH');
      time.pass(lifetime - when);
      await client.hears('DISCONNECTED 40142/401', 'closed');
    });

    test('not of tokens that live shorter', async (t) => {
      const time = new Time();
      const ably = await start(t, time);
      const client = await Client.connect(t, ably, short('alice', 30 * SECOND));
      await client.hears('CONNECTED');
      time.pass(30 * SECOND);
      await client.hears('DISCONNECTED 40142/401', 'closed');
    });

    test('when a test says so', async (t) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice');
      ably.of('alice')[0].prompt();
      await client.hears('AUTH');
      await client.hearsNothing();
    });
  });

  suite('revoking', () => {
    const revoke = async (ably, time, clientId, members) => {
      time.pass(1); // what is issued at that very moment is not issued before it
      assert.equal((await revokeTokens(ably, { targets: [`clientId:${clientId}`], ...members })).status, 201);
    };
    const renewed = (clientId) => auth(jwt({ 'x-ably-clientId': clientId, iat: NOW / 1000 + 1 }, REVOCABLE));

    test('at once: without a prompt, the client and nobody else', async (t) => {
      const time = new Time();
      const ably = await start(t, time);
      const alice = await connected(t, ably, 'alice', ALL, REVOCABLE);
      const others = [await connected(t, ably, 'bob', ALL, REVOCABLE), await connected(t, ably, 'alice', ALL, KEY)];
      await revoke(ably, time, 'alice');
      time.pass(0);
      await alice.hears('DISCONNECTED 40141/401', 'closed');
      for (const other of others) await other.hearsNothing();
    });

    rows([
      ['with the margin of Ably', {}, 30 * SECOND],
      ['with another margin', { margin: SECOND }, SECOND],
    ], async (t, options, margin) => {
      const time = new Time();
      const ably = await start(t, { ...time, ...options });
      const idle = await connected(t, ably, 'alice', ALL, REVOCABLE);
      const active = await connected(t, ably, 'alice', ALL, REVOCABLE);
      const other = await connected(t, ably, 'bob', ALL, REVOCABLE);
      await revoke(ably, time, 'alice', { allowReauthMargin: true });
      await idle.hears('AUTH');
      active.send(renewed('alice'));
      await active.hears('AUTH', 'CONNECTED');
      time.pass(margin - 1);
      await idle.hearsNothing();
      time.pass(1);
      await idle.hears('DISCONNECTED 40141/401', 'closed');
      for (const client of [active, other]) await client.hearsNothing();
    });

    test('one prompt for each revocation, and one for each socket', async (t) => {
      const time = new Time();
      const ably = await start(t, time);
      const client = await connected(t, ably, 'alice', ALL, REVOCABLE);
      await revoke(ably, time, 'alice', { allowReauthMargin: true });
      await revoke(ably, time, 'bob', { allowReauthMargin: true });
      await client.hears('AUTH');
      await client.hearsNothing();
      const resume = client.details.connectionDetails.connectionKey;
      const again = await connected(t, ably, 'alice', ALL, REVOCABLE, { resume });
      await again.hears('AUTH');
      await again.hearsNothing();
    });

    test('a renewed token can be revoked, too', async (t) => {
      const time = new Time();
      const ably = await start(t, time);
      const client = await connected(t, ably, 'alice', ALL, REVOCABLE);
      await revoke(ably, time, 'alice', { allowReauthMargin: true });
      client.send(renewed('alice'));
      await client.hears('AUTH', 'CONNECTED');
      time.pass(SECOND);
      await revoke(ably, time, 'alice');
      time.pass(0);
      await client.hears('DISCONNECTED 40141/401', 'closed');
    });
  });
});

suite('resuming', () => {
  /** Alice attaches to two channels and loses her socket; then bob publishes. */
  async function missed(t, ably) {
    const [alice, bob] = [await connected(t, ably, 'alice'), await connected(t, ably, 'bob')];
    for (const message of [attach('hall'), attach('room'), presence('enter', 'room')]) alice.send(message);
    await alice.hears('ATTACHED hall', 'ATTACHED room', 'ACK 0');
    const { channelSerial } = await alice.hears('PRESENCE room alice enter');
    ably.of('alice')[0].drop();
    await alice.hears('closed');
    bob.send(publish('room', 'meanwhile'));
    await bob.hears('ACK 0');
    return { alice, bob, channelSerial, resume: alice.details.connectionDetails.connectionKey };
  }

  rows([
    ['the same client', { 'x-ably-clientId': 'alice' }, KEY, true],
    ['the same client by another key of the app', { 'x-ably-clientId': 'alice' }, REVOCABLE, true],
    ['another client', { 'x-ably-clientId': 'carol' }, KEY, false],
    ['nobody', {}, KEY, false],
    ['anybody', { 'x-ably-clientId': '*' }, KEY, false],
    ['the same clientId in another app', { 'x-ably-clientId': 'alice' }, STRANGER, false],
    ['the same client with another connectionKey', { 'x-ably-clientId': 'alice' }, KEY, false, 'guessed'],
  ], async (t, claims, key, resumes, guessed) => {
    const ably = await start(t, { now: () => NOW });
    const { alice, bob, channelSerial, resume } = await missed(t, ably);
    const client = await Client.connect(t, ably, { access_token: jwt(claims, key), resume: guessed ?? resume });
    const { connectionId } = await client.hears(resumes ? 'CONNECTED' : 'CONNECTED 80008/400');
    assert.equal(connectionId === alice.details.connectionId, resumes);
    await client.hearsNothing();
    client.send(attach('room', { channelSerial }));
    const { flags } = await client.hears('ATTACHED room');
    assert.equal(Boolean(flags & FLAG.RESUMED), resumes);
    await client.hears('SYNC room alice present');
    if (resumes) await client.hears('MESSAGE room bob meanwhile');
    await client.hearsNothing();
    bob.send(publish('room', 'after'));
    await client.hears('MESSAGE room bob after');
  });

  test('only a channel that goes on from a serial hears what was missed', async (t) => {
    const ably = await start(t, { now: () => NOW });
    const { resume } = await missed(t, ably);
    const client = await connected(t, ably, 'alice', ALL, KEY, { resume });
    client.send(attach('room'));
    const { flags } = await client.hears('ATTACHED room');
    assert.equal(flags & FLAG.RESUMED, 0);
    await client.hears('SYNC room alice present');
    await client.hearsNothing();
  });

  test('nothing is heard twice', async (t) => {
    const ably = await start(t, { now: () => NOW });
    const { bob, channelSerial, resume } = await missed(t, ably);
    bob.send(publish('hall', 'there'));
    await bob.hears('ACK 1');
    const client = await connected(t, ably, 'alice', ALL, KEY, { resume });
    client.send(attach('hall', { channelSerial }));
    await client.hears('ATTACHED hall', 'MESSAGE hall bob there');
    client.send(attach('room', { channelSerial }));
    await client.hears('ATTACHED room', 'SYNC room alice present', 'MESSAGE room bob meanwhile');
    client.send(attach('room', { channelSerial }));
    await client.hears('ATTACHED room', 'SYNC room alice present');
    await client.hearsNothing();
  });

  test('what a new token does not permit is not made up for', async (t) => {
    const ably = await start(t, { now: () => NOW });
    const { channelSerial, resume } = await missed(t, ably);
    const client = await connected(t, ably, 'alice', { hall: ['*'] }, KEY, { resume });
    client.send(attach('room', { channelSerial }));
    await client.hears('ERROR room 40160/401', 'ERROR room 40160/401');
    await client.hearsNothing();
  });

  test('a second socket takes the place of the first', async (t) => {
    const ably = await start(t, { now: () => NOW });
    const first = await connected(t, ably, 'alice');
    first.send(attach('room'));
    await first.hears('ATTACHED room');
    const resume = first.details.connectionDetails.connectionKey;
    first.socket.pause(); // it does not know yet
    const second = await connected(t, ably, 'alice', ALL, KEY, { resume });
    first.send(publish('room', 'x'));
    first.socket.resume();
    await first.hears('closed');
    await second.hearsNothing();
    second.send(publish('room', 'y'));
    await second.hears('ACK 0');
    await second.hearsNothing();
    assert.equal(ably.connections.size, 1);
  });

  suite('what can be resumed', () => {
    rows([
      ['a dropped connection', (client, connection) => connection.drop(), ['closed'], true],
      ['one that the client left', (client) => client.send({ action: 5 }), ['closed'], true],
      ['one that was disconnected', (client, connection) => connection.disconnect({ code: 80003, statusCode: 400 }), [
        'DISCONNECTED 80003/400', 'closed',
      ], true],
      ['not one that was closed', (client) => client.send({ action: 7 }), ['CLOSED', 'closed'], false],
      ['not one that failed', (client) => client.send(auth('app.unknown')), ['ERROR 40143/401', 'closed'], false],
    ], async (t, act, told, can) => {
      const ably = await start(t, { now: () => NOW });
      const client = await connected(t, ably, 'alice');
      const { connectionId, connectionDetails: { connectionKey } } = client.details;
      act(client, ably.of('alice')[0]);
      await client.hears(...told);
      const again = await Client.connect(t, ably, { access_token: jwt(grant(ALL, 'alice')), resume: connectionKey });
      const details = await again.hears(can ? 'CONNECTED' : 'CONNECTED 80008/400');
      assert.equal(details.connectionId === connectionId, can);
    });
  });

  rows([
    ['for two minutes', () => {}],
    ['for two minutes, whatever is revoked meanwhile', async (ably) => {
      await revokeTokens(ably, { targets: ['clientId:alice'] });
    }],
  ], async (t, meanwhile) => {
    const time = new Time();
    const ably = await start(t, time);
    const bob = await connected(t, ably, 'bob');
    bob.send(attach('room'));
    const alice = await connected(t, ably, 'alice', ALL, REVOCABLE);
    for (const message of [attach('room'), presence('enter', 'room')]) alice.send(message);
    await bob.hears('ATTACHED room', 'PRESENCE room alice enter');
    ably.of('alice')[0].drop();
    await once(alice.socket, 'close');
    time.pass(1);
    await meanwhile(ably);
    time.pass(2 * MINUTE - 2);
    await bob.hearsNothing();
    time.pass(1);
    await bob.hears('PRESENCE room alice leave');
    assert.deepEqual(ably.of('alice'), []);
  });
});

suite('an unmodified SDK', { timeout: LONG }, () => {
  /** ably-js with a callback that signs token requests, as a server does for its clients. */
  function realtime(t, ably, clientId, capability = ALL) {
    let count = 0;
    const client = new SDK.Realtime({
      ...sdkOptions(ably.port),
      authCallback: (params, done) => {
        count += 1;
        const asked = params.capability ?? JSON.stringify(capability);
        const members = { clientId, capability: asked, timestamp: Date.now(), nonce: `${NONCE}${clientId}${count}` };
        done(null, tokenRequest(members, REVOCABLE));
      },
    });
    t.after(() => client.close());
    return client;
  }

  test('connects, attaches, publishes, and hears what it missed while the network was away', async (t) => {
    const ably = await start(t);
    const [alice, bob] = [realtime(t, ably, 'alice'), realtime(t, ably, 'bob')];
    const heard = [];
    await alice.channels.get('room').subscribe(({ clientId, data }) => heard.push(`${clientId} ${data}`));
    const { id } = alice.connection;
    await bob.channels.get('room').publish('name', 'first');
    await until(() => heard.length === 1);
    ably.of('alice')[0].drop();
    await alice.connection.once('disconnected');
    await bob.channels.get('room').publish('name', 'meanwhile');
    await bob.channels.get('room').publish('name', 'last');
    await until(() => heard.length === 3);
    assert.deepEqual(heard, ['bob first', 'bob meanwhile', 'bob last']);
    assert.equal(alice.connection.id, id);
    assert.equal(alice.channels.get('room').state, 'attached');
  });

  test('is present, and gone', async (t) => {
    const ably = await start(t);
    const [alice, bob, carol] = ['alice', 'bob', 'carol'].map((name) => realtime(t, ably, name));
    const who = async () => {
      const members = await bob.channels.get('room').presence.get();
      return members.map(({ clientId }) => clientId).sort().join();
    };
    await alice.channels.get('room').presence.enter();
    await carol.channels.get('room').presence.enter();
    assert.equal(await who(), 'alice,carol');
    await alice.channels.get('room').presence.leave();
    await until(async () => await who() === 'carol');
    await alice.channels.get('room').presence.enter();
    await until(async () => await who() === 'alice,carol');
    await alice.channels.get('room').detach();
    carol.close();
    await until(async () => await who() === '');
  });

  test('sends again what was not acknowledged, and it is published once', async (t) => {
    const ably = await start(t);
    const [alice, bob] = [realtime(t, ably, 'alice'), realtime(t, ably, 'bob')];
    const heard = [];
    await bob.channels.get('room').subscribe(({ data }) => heard.push(data));
    await alice.channels.get('room').attach();
    const published = alice.channels.get('room').publish('name', 'once');
    ably.of('alice')[0].drop();
    await published;
    await alice.channels.get('room').publish('name', 'then');
    await until(() => heard.includes('then'));
    assert.deepEqual(heard, ['once', 'then']);
  });

  test('takes one more channel on the same connection, after 40160', async (t) => {
    const ably = await start(t);
    const client = realtime(t, ably, 'alice', { room: ['subscribe'] });
    await client.channels.get('room').attach();
    const { id } = client.connection;
    await assert.rejects(client.channels.get('hall').attach(), { code: 40160, statusCode: 401 });
    await assert.rejects(client.channels.get('room').publish('name', 'x'), { code: 40160, statusCode: 401 });
    await client.auth.authorize({ capability: { hall: ['*'], room: ['subscribe'] } });
    await client.channels.get('hall').attach();
    assert.equal(client.channels.get('room').state, 'attached');
    await client.auth.authorize({ capability: { hall: ['*'] } });
    await client.channels.get('room').whenState('failed');
    assert.equal(client.channels.get('room').errorReason.code, 40160);
    assert.equal(client.connection.id, id);
  });

  test('renews when prompted and when its token is revoked', async (t) => {
    const ably = await start(t);
    const client = realtime(t, ably, 'alice');
    await client.connection.once('connected');
    const { id } = client.connection;
    const first = client.auth.tokenDetails.token;
    ably.of('alice')[0].prompt();
    await client.connection.once('update');
    const second = client.auth.tokenDetails.token;
    await revokeTokens(ably, { targets: ['clientId:alice'] });
    const { reason } = await client.connection.once('disconnected');
    await client.connection.once('connected');
    assert.equal(reason.code, 40141);
    assert.equal(client.connection.id, id);
    assert.equal(new Set([first, second, client.auth.tokenDetails.token]).size, 3);
  });
});
