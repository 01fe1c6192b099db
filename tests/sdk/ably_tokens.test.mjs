// The stand-in for Ably exchanges what SDKs sign and reads what libraries sign, and refuses what it must.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { canonical, parse } from './ably/capability.mjs';
import { Tokens } from './ably/tokens.mjs';
import { KEY, NARROW, REVOCABLE, nameOf } from './support/ably_keys.mjs';
import { assertError, requestToken } from './support/ably_rest.mjs';
import { NONCE, jwt, tokenRequest } from './support/ably_signed.mjs';
import { known } from './support/known.mjs';
import { rows } from './support/rows.mjs';
import { start, tokens } from './support/stand_in.mjs';
import { DAY, HOUR, MINUTE, NOW, SECOND } from './support/time.mjs';

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
