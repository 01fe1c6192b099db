// examples/browser/accrue.js with an Ably client and a service that are played: what it makes of an answer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Denied, Full, Refused, Unavailable } from '../../examples/browser/accrue.js';
import { known } from './support/known.mjs';
import { Service, refusal, start, token } from './support/played.mjs';

test('what is denied is an error, and never asked for again', async () => {
  const { service, accrue, client } = start();
  service.permitted = { 'chat:1': ['subscribe'] };
  await assert.rejects(accrue.attach(client, 'chat:1', ['subscribe', 'publish']), (error) => {
    assert.ok(error instanceof Denied && error instanceof Refused && !(error instanceof Unavailable));
    const { name, code, statusCode, refused } = error;
    assert.deepEqual([name, code, statusCode, refused], ['Denied', 40160, 401, { 'chat:1': ['publish'] }]);
    assert.equal(error.message, 'denied: {"chat:1":["publish"]}');
    return true;
  });
  await client.renew();
  assert.deepEqual(service.asked, [{ 'chat:1': ['subscribe', 'publish'] }, undefined]);
});

test('a 401 that refuses all is a denial, whether or not it says so', async () => {
  for (const headers of [{ 'accrue-refused': '{"denied":{"chat:1":["subscribe"]}}' }, {}]) {
    const { service, accrue, client } = start();
    service.answers = [refusal(40160, 401, headers)];
    await assert.rejects(accrue.attach(client, 'chat:1'), { name: 'Denied' });
    assert.equal(client.lastError.code, 40160);
    await client.renew();
    assert.deepEqual(service.asked[1], undefined);
  }
});

test('each reason has its error', async () => {
  const cases = [
    ['{"denied":{"a":["subscribe"]}}', Denied],
    ['{"full":{"a":["subscribe"]}}', Full],
    ['{"unavailable":{"a":["subscribe"]}}', Unavailable],
    ['{"full":{"a":["*"]}}', Full],
    ['{"unavailable":{"a":["subscribe"]},"full":{"b":["subscribe"]}}', Full],
    ['{"unavailable":{"a":["subscribe"]},"full":{"b":["subscribe"]},"denied":{"c":["subscribe"]}}', Denied],
    ['{"full":{"of the application":["subscribe"]}}', Denied],
    ['{"truncated":true}', Refused],
    [undefined, Denied], // strategy `server` reads no wishes
  ];
  for (const [header, Kind] of cases) {
    const { service, accrue, client } = start();
    service.answers = [token({ inbox: ['subscribe'] }, header && { 'accrue-refused': header })];
    const wishes = ['a', 'b', 'c'].filter((name) => name === 'a' || header?.includes(`"${name}"`));
    const capability = Object.fromEntries(wishes.map((name) => [name, ['subscribe']]));
    await assert.rejects(accrue.ask(client, capability), (error) => {
      assert.equal(error.constructor, Kind, header);
      return true;
    });
    assert.equal(service.requests.length, 1);
  }
});

test('what is unavailable goes along until it is answered', async () => {
  const { service, accrue, client } = start();
  service.reason = 'unavailable';
  await assert.rejects(accrue.attach(client, 'chat:1'), { name: 'Unavailable' });
  await client.renew();
  await assert.rejects(accrue.attach(client, 'chat:2'), { name: 'Unavailable' });
  assert.deepEqual(service.asked[2], { 'chat:1': ['subscribe'], 'chat:2': ['subscribe'] });
  service.reason = 'denied';
  service.permitted = { 'chat:2': ['subscribe'] };
  await client.renew();
  await accrue.attach(client, 'chat:2');
  await client.renew();
  assert.deepEqual(service.asked.slice(3), [{ 'chat:1': ['subscribe'], 'chat:2': ['subscribe'] }, undefined]);
});

test('an outage is unavailable too: the wish stays, and what the client hears lets it go on', async () => {
  const outages = [
    [new TypeError('fetch failed'), 40170],
    [refusal(50003, 503), 50003],
    [new Response('<h1>Bad gateway</h1>', { status: 502 }), 50200],
    [refusal(42900, 429), 42900],
    [refusal(40800, 408), 40800],
  ];
  for (const [outage, code] of outages) {
    const { service, accrue, client } = start();
    service.permitted = { 'chat:1': ['subscribe'] };
    service.answers = [outage];
    await assert.rejects(accrue.attach(client, 'chat:1'), (error) => {
      assert.ok(error instanceof Unavailable);
      assert.equal(error.cause.code, code);
      assert.match(String(error.cause), /^accrue: /);
      return true;
    });
    assert.notEqual(client.lastError.statusCode, 403);
    await client.renew();
    await accrue.attach(client, 'chat:1');
    assert.equal(service.requests.length, 2);
  }
});

test('an outage does not stand in the way of what the token has', async () => {
  const { service, accrue, client } = start();
  await client.renew();
  service.answers = [new TypeError('fetch failed'), new TypeError('fetch failed')];
  await assert.rejects(client.renew());
  const refused = accrue.attach(client, 'a');
  await Promise.all([accrue.attach(client, 'inbox'), assert.rejects(refused, Unavailable)]);
  await accrue.attach(client, 'inbox');
  assert.equal(service.requests.length, 3);
});

test('what is about the client is passed on, and the wish is dropped', async () => {
  const answers = [
    [refusal(40100, 401), { code: 40100, statusCode: 401 }],
    [refusal(40300, 403), { code: 40300, statusCode: 403 }],
    [new Response('', { status: 403 }), { code: 40300, statusCode: 403 }],
    [new Response('<h1>Not found</h1>', { status: 404 }), { code: 40400, statusCode: 404 }],
    [refusal(40000, 400), { code: 40000, statusCode: 400 }],
    [new Response('<h1>Sign in</h1>'), { code: 40170, statusCode: 401 }],
    [Response.json({ error: 'no' }, { status: 401 }), { code: 40100, statusCode: 401 }],
    [Response.json(null), { code: 40170, statusCode: 401 }],
    [new Response(null, { status: 204 }), { code: 40170, statusCode: 401 }],
  ];
  for (const [answer, expected] of answers) {
    const { service, accrue, client } = start();
    service.answers = [answer];
    await assert.rejects(accrue.attach(client, 'chat:1'), expected);
    await client.renew();
    assert.deepEqual(service.asked, [{ 'chat:1': ['subscribe'] }, undefined]);
  }
});

test('a wish is fulfilled if the capability of the token covers it, and otherwise denied', async () => {
  const cases = [
    ['foo:*', 'foo:1', true], ['foo:*', 'foo:1:2', true], ['foo:*', 'foo::x', true], ['foo:*', 'foo:*', true],
    ['foo:*', 'foo', false], ['foo:*', 'foobar', false], ['foo:*', '[meta]foo:1', false],
    ['[*]foo:*', '[meta]foo:1', true], ['[*]foo:*', 'foo:1', true], ['[meta]*', '[meta]log', true],
    ['[meta]*', 'log', false], ['*', 'r::$chat', true], ['*', '[queue]q', false], ['[*]*', '[*]*', true],
    ['*', '[*]*', false], ['a:*:c', 'a:b:c', true], ['a:*:c', 'a::c', false], ['a:*:c', 'a:b:b:c', false],
    ['a:*:*', 'a:*', false], ['a:*', 'a:*:*', true], ['*:c', 'a:c', true], ['*:c', 'a:b:c', false], ['*', '*:c', true],
    ['a', 'A', false], ['a*', 'ab', false],
  ];
  const { cases: ablys } = known('capability-match');
  const rows = [
    ...cases.map(([pattern, name, allowed]) => {
      const [capability, wishes] = [pattern, name].map((resource) => ({ [resource]: ['subscribe'] }));
      return { capability, wishes, allowed };
    }),
    // where Ably's pages are silent, accrue takes the narrower reading
    ...ablys.filter(({ id }) => id !== 'cap-023')
      .map(({ channel, operation, ...row }) => ({ ...row, wishes: { [channel]: [operation] } })),
    { capability: { 'a:*': ['stats'], 'a:1': ['publish'] }, wishes: { 'a:1': ['publish', 'stats'] }, allowed: true },
    { capability: { 'chat:1': ['*'] }, wishes: { 'chat:1': ['publish', 'subscribe'] }, allowed: true },
    { capability: { 'chat:1': ['publish', 'subscribe'] }, wishes: { 'chat:1': ['*'] }, allowed: false },
    { capability: { 'a:1': ['subscribe'], 'a:2': ['subscribe'] }, wishes: { 'a:*': ['subscribe'] }, allowed: false },
  ];
  for (const { capability, wishes, allowed } of rows) {
    const { service, accrue, client } = start();
    service.answers = [token(capability)];
    const outcome = await accrue.ask(client, wishes).then(() => true, (error) => error instanceof Denied && false);
    assert.equal(outcome, allowed, JSON.stringify({ capability, wishes }));
  }
});

test('a name that means something to JavaScript is asked for and denied like any other', async () => {
  const { service, accrue, client } = start();
  const names = ['__proto__', 'constructor', 'größe:\u{1F600}', '"', '10', '9'];
  service.permitted = Object.fromEntries(names.map((name) => [name, ['subscribe']]));
  for (const name of names) await accrue.ask(client, JSON.parse(`{${JSON.stringify(name)}: ["subscribe"]}`));
  assert.deepEqual(service.asked.map((asked) => Object.keys(asked)), names.map((name) => [name]));
  service.permitted = {};
  service.held = Object.create(null);
  for (const name of names) await assert.rejects(accrue.attach(client, `${name}x`), Denied);
  for (const name of ['__proto__', 'constructor']) {
    await client.renew();
    await assert.rejects(accrue.attach(client, name), Denied);
  }
});

test('40160 in spite of the token is asked about once', async () => {
  const { service, accrue, client } = start();
  service.permitted = { a: ['subscribe'] };
  await accrue.ask(client, { a: ['subscribe'] });
  const { attach } = client.channels.get('a');
  let refusals = 1;
  client.channels.get('a').attach = async () => {
    if (refusals-- > 0) throw Object.assign(new Error('no'), { code: 40160 });
    return attach();
  };
  await accrue.attach(client, 'a');
  assert.equal(service.requests.length, 2);
  refusals = 9;
  await assert.rejects(accrue.attach(client, 'a'), { code: 40160, name: 'Error' });
  assert.equal(service.requests.length, 3);
  // nor is it asked about after an answer that says yes
  service.permitted.b = ['subscribe'];
  client.channels.get('b').attach = () => Promise.reject(Object.assign(new Error('no'), { code: 40160 }));
  await assert.rejects(accrue.attach(client, 'b'), { code: 40160, name: 'Error' });
  assert.equal(service.requests.length, 4);
});

test('where the reasons were too long for a header, each wish is asked for by itself', async () => {
  const { service, accrue, client } = start();
  const names = Array.from({ length: 20 }, (_, i) => `a channel with a long name:${i}`);
  service.permitted = { [names[7]]: ['subscribe'] };
  const verdicts = await Promise.allSettled(names.map((name) => accrue.attach(client, name)));
  assert.deepEqual(verdicts.map(({ reason }) => reason?.name), names.map((_, i) => (i === 7 ? undefined : 'Denied')));
  const alone = names.filter((_, i) => i !== 7).map((name) => [name]);
  assert.deepEqual(service.asked.map((asked) => Object.keys(asked)), [names, ...alone]);
  // what is wished for meanwhile goes together, after those
  service.requests.length = 0;
  const held = service.hold();
  const again = Promise.allSettled(names.slice(8).map((name) => accrue.attach(client, name)));
  (await held)();
  await Promise.allSettled([accrue.attach(client, 'late:1'), accrue.attach(client, 'late:2'), again]);
  assert.deepEqual(Object.keys(service.asked.at(-1)), ['late:1', 'late:2']);
});

test('an outage is about all wishes, also where its reasons are too long for a header', async () => {
  const { service, accrue, client } = start();
  service.answers = [refusal(50003, 503, { 'accrue-refused': '{"truncated":true}' })];
  const verdicts = await Promise.allSettled([accrue.attach(client, 'a'), accrue.attach(client, 'b')]);
  assert.deepEqual(verdicts.map(({ reason }) => reason.name), ['Unavailable', 'Unavailable']);
  assert.deepEqual(service.asked, [{ a: ['subscribe'], b: ['subscribe'] }]);
});

test('what is unavailable stays so while the client is refused, unless it is malformed', async () => {
  const answers = [[refusal(40100, 401), true], [refusal(40400, 404), true], [refusal(40000, 400), false]];
  for (const [answer, stays] of answers) {
    const { service, accrue, client } = start();
    service.reason = 'unavailable';
    await assert.rejects(accrue.ask(client, { a: ['subscribe'] }), Unavailable);
    service.answers = [answer];
    await assert.rejects(client.renew());
    await client.renew();
    assert.deepEqual(service.asked.at(-1), stays ? { a: ['subscribe'] } : undefined);
  }
});

test('unavailable wishes go together again once each has been answered', async () => {
  const { service, accrue, client } = start();
  const names = Array.from({ length: 20 }, (_, i) => `a channel with a long name:${i}`);
  service.reason = 'unavailable';
  const verdicts = await Promise.allSettled(names.map((name) => accrue.attach(client, name)));
  assert.ok(verdicts.every(({ reason }) => reason instanceof Unavailable));
  service.permitted = Object.fromEntries(names.map((name) => [name, ['subscribe']]));
  await client.renew();
  assert.deepEqual(Object.keys(service.asked.at(-1)), names);
  const requests = service.requests.length;
  await Promise.all(names.map((name) => accrue.attach(client, name)));
  assert.equal(service.requests.length, requests);
});

test('what is unavailable goes along together, also where a renewal finds out too much for a header', async () => {
  const { service, accrue, client } = start();
  const names = ['a', 'b', 'c'];
  service.answers = [new TypeError('fetch failed'), token(service.given, { 'accrue-refused': '{"truncated":true}' })];
  await Promise.allSettled(names.map((name) => accrue.attach(client, name)));
  for (let i = 0; i < 5; i++) await client.renew();
  const asked = service.asked.map((wishes) => wishes && Object.keys(wishes));
  assert.deepEqual(asked, [names, names, names, undefined, undefined, undefined]);
});

test('a wish that is too long for the header by itself is refused without a reason', async () => {
  const { service, accrue, client } = start();
  await assert.rejects(accrue.attach(client, 'x'.repeat(600)), (error) => {
    assert.equal(error.constructor, Refused);
    assert.match(error.message, /^unknown: /);
    return true;
  });
  assert.equal(service.requests.length, 1);
});

test('a client that is closed before all reasons are known ends the wait', async () => {
  const { service, accrue, client } = start();
  service.answers = [token({ inbox: ['subscribe'] }, { 'accrue-refused': '{"truncated":true}' })];
  const { authorize } = client.auth;
  client.auth.authorize = () => authorize().finally(() => { client.connection.state = 'closed'; });
  const verdicts = await Promise.allSettled([accrue.attach(client, 'a'), accrue.attach(client, 'b')]);
  assert.deepEqual(verdicts.map(({ reason }) => reason.code), [80017, 80017]);
});

for (const [code, status] of [[40000, 400], [41300, 413]]) {
  test(`a malformed wish is an error for whoever made it: ${status}`, async () => {
    const { service, accrue, client } = start();
    service.reason = 'unavailable';
    await assert.rejects(accrue.ask(client, { later: ['subscribe'] }), Unavailable);
    service.permitted = { a: ['subscribe'], b: ['subscribe'], c: ['subscribe'] };
    service.answer = function answer(request) {
      const isBad = JSON.stringify(request.capability ?? {}).includes('pubish');
      return isBad ? refusal(code, status) : Service.prototype.answer.call(this, request);
    };
    const verdicts = await Promise.allSettled([
      accrue.attach(client, 'a'), accrue.attach(client, 'b', ['pubish']), accrue.attach(client, 'c'),
    ]);
    assert.deepEqual(verdicts.map(({ status, reason }) => reason?.code ?? status), ['fulfilled', code, 'fulfilled']);
    await client.renew();
  });
}
