// The unmodified ably-python (the version in requirements.txt) against the real binary and a stand-in for Ably.
// Where a comment says "ably-python", it is about what that version does of itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from './support/accrue.mjs';
import { Python, noPython } from './support/python.mjs';
import { bearer, session } from './support/session.mjs';
import { until } from './support/until.mjs';
import { world } from './support/world.mjs';

const BOTH = ['publish', 'subscribe'];
const GIVEN = { 'inbox:alice': ['subscribe'] };
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

const scenario = (title, act) => test(title, { skip: noPython }, act);

/** A wish as ably-python has to be given it where it asks by authUrl; Python says json.dumps. */
const dumps = JSON.stringify;

/** How clients ask: by authUrl, or by the README's auth_callback, which carries what is granted. */
const byUrl = ({ accrue }, headers = bearer('alice')) => ({ auth_url: `${accrue.url}/auth`, auth_headers: headers });
const byCallback = ({ accrue }) => ({ callback: { url: `${accrue.url}/auth`, session: session('alice') } });

/** A service that revokes, at Ably too. What is revoked there stays good for this long: 30 s at the real one. */
const REVOCABLE = {
  config: { admin: '127.0.0.1:0', ably: { revocable: true }, store: { url: 'memory:' } },
  ably: { margin: 1500 },
};

async function revoke({ t, accrue }, clientId) {
  const { code, stderr } = await run(t, 'revoke', clientId, '--admin', accrue.admin);
  assert.equal(code, 0, stderr);
}

for (const method of ['GET', 'POST']) {
  scenario(`by authUrl with ${method}, a refused channel is attached once asked for, without a break`, async (t) => {
    const all = await world(t);
    all.backend.permitted['chat:1'] = BOTH;
    const alice = new Python(all, { ...byUrl(all), auth_method: method });
    const { id } = await alice.event('connected');
    await alice.attach('inbox:alice');
    await assert.rejects(alice.attach('chat:1'), { code: 40160 });

    const { capability } = await alice.authorize({ capability: dumps({ 'chat:1': BOTH }) });
    assert.deepEqual(capability, { ...GIVEN, 'chat:1': BOTH });
    await alice.subscribe('chat:1');
    await alice.publish('chat:1', 'hello');
    await until(() => alice.messages.includes('hello'));

    assert.deepEqual(alice.connection.map(({ event }) => event), ['connected', 'update']);
    assert.deepEqual(alice.connection.map((one) => one.id), [id, id]);
    await alice.close();
    await until(() => !all.ably.of('alice').length);
  });
}

scenario('an auth_callback that carries the grant keeps what was granted; only what is new is checked', async (t) => {
  const all = await world(t);
  Object.assign(all.backend.permitted, { 'chat:1': BOTH, 'chat:2': ['subscribe'] });
  const alice = new Python(all, byCallback(all));
  const { id } = await alice.event('connected');
  await alice.attach('inbox:alice');
  await assert.rejects(alice.attach('chat:1'), { code: 40160 });

  // a dict is well here: the callback sends it as JSON
  await alice.authorize({ capability: { 'chat:1': BOTH } });
  await alice.attach('chat:1');
  await assert.rejects(alice.attach('chat:2'), { code: 40160 });
  const { capability } = await alice.authorize({ capability: { 'chat:2': ['subscribe'] } });
  assert.deepEqual(capability, { ...GIVEN, 'chat:1': BOTH, 'chat:2': ['subscribe'] });
  await alice.attach('chat:2');
  await alice.subscribe('chat:1');
  await alice.publish('chat:1', 'still here');
  await until(() => alice.messages.includes('still here'));
  assert.deepEqual((await alice.authorize({ capability: { 'chat:1': BOTH } })).capability, capability);

  const [first, second] = all.backend.questions;
  assert.equal(all.backend.questions.length, 2);
  assert.deepEqual([first.asked, first.held], [{ 'chat:1': BOTH }, {}]);
  assert.deepEqual([second.asked, second.held], [{ 'chat:2': ['subscribe'] }, { 'chat:1': BOTH }]);
  assert.deepEqual(alice.connection.map(({ event }) => event), ['connected', 'update', 'update', 'update']);
  assert.equal(all.ably.of('alice')[0].id, id);
});

scenario('a wish sent as a Python dict is answered by how to send it, and sent so it is granted', async (t) => {
  const all = await world(t);
  all.backend.permitted['chat:1'] = ['subscribe'];
  for (const method of ['GET', 'POST']) {
    const alice = new Python(all, { ...byUrl(all), auth_method: method });
    const { id } = await alice.event('connected');
    // ably-python puts str(dict) into the query or form, in single quotes
    const advice = 'capability: this is a Python dict in single quotes, not JSON: pass json.dumps(capability)';
    const wish = { 'chat:1': ['subscribe'] };
    await assert.rejects(alice.authorize({ capability: wish }), { code: 40000, statusCode: 400, message: advice });
    // and keeps it, for all that come after: that renewal fails, too, until authorize() is called with a better one
    await assert.rejects(alice.authorize(), { code: 40000, statusCode: 400, message: advice });
    assert.equal((await alice.state()).connection, 'connected');

    const { capability } = await alice.authorize({ capability: dumps(wish) });
    assert.deepEqual(capability, { ...GIVEN, ...wish });
    await alice.attach('chat:1');
    assert.deepEqual(alice.connection.map((one) => [one.event, one.id]), [['connected', id], ['update', id]]);
  }
});

scenario('a refused wish costs nothing, and the callback sees what was refused', async (t) => {
  const all = await world(t);
  all.backend.permitted['chat:1'] = BOTH;
  const alice = new Python(all, byCallback(all));
  const { id } = await alice.event('connected');
  await alice.authorize({ capability: { 'chat:1': BOTH } });
  await alice.subscribe('chat:1');

  const { capability } = await alice.authorize({ capability: { secret: ['subscribe'] } });
  assert.deepEqual(capability, { ...GIVEN, 'chat:1': BOTH });
  assert.deepEqual(alice.answers.map(({ status }) => status), [200, 200, 200]);
  assert.deepEqual(alice.answers.map(({ refused }) => refused), [null, null, '{"denied":{"secret":["subscribe"]}}']);
  await assert.rejects(alice.attach('secret'), { code: 40160 });
  await alice.publish('chat:1', 'hello');
  await until(() => alice.messages.includes('hello'));
  assert.deepEqual(alice.connection.map((one) => one.id), [id, id, id]);
  assert.ok(alice.connection.every(({ event }) => ['connected', 'update'].includes(event)));
});

scenario('an expired token is renewed with all that was held, although the refused wish is repeated', async (t) => {
  const all = await world(t);
  all.backend.permitted['chat:1'] = BOTH;
  const alice = new Python(all, byCallback(all));
  const { id } = await alice.event('connected');
  await alice.authorize({ capability: { 'chat:1': BOTH } });
  await alice.subscribe('chat:1');
  await alice.authorize({ capability: { secret: ['subscribe'] }, ttl: 1500 }); // too short for Ably to ask for another

  const expired = await alice.event('disconnected');
  assert.equal(expired.error.code, 40142);
  const back = await alice.event('connected', alice.connection.indexOf(expired));
  assert.equal(back.id, id);
  assert.equal(alice.answers.length, 4);
  assert.deepEqual(alice.answers[3], { status: 200, refused: '{"denied":{"secret":["subscribe"]}}' });
  const wishes = [{ 'chat:1': BOTH }, { secret: ['subscribe'] }, { secret: ['subscribe'] }];
  assert.deepEqual(all.backend.questions.map((question) => question.asked), wishes, 'what is held is not asked again');

  // When a second token expires, ably-python gets no new one but comes back with the expired one, again and again: it
  // renews only if the last error of its connection was not a token's, and being connected since does not count.
  // authorize() helps it out.
  const again = await alice.event('disconnected', alice.connection.indexOf(back));
  const retry = await alice.event('disconnected', alice.connection.indexOf(again) + 1);
  assert.equal(retry.error.code, 40142);
  assert.equal(alice.answers.length, 4);
  const { capability } = await alice.authorize({ capability: { secret: ['subscribe'] } });
  assert.deepEqual(capability, { ...GIVEN, 'chat:1': BOTH });
  await alice.publish('chat:1', 'back again');
  await until(() => alice.messages.includes('back again'));
  assert.equal(all.ably.of('alice')[0].id, id);
});

scenario('a JWT serves a client that has a client_id, and nothing is exchanged at Ably', async (t) => {
  const all = await world(t, { config: { token: { format: 'jwt' } } });
  all.backend.permitted['chat:1'] = BOTH;
  const alice = new Python(all, { ...byUrl(all), client_id: 'alice' });
  const { id } = await alice.event('connected');
  await alice.attach('inbox:alice');
  await assert.rejects(alice.attach('chat:1'), { code: 40160 });

  // ably-python does not look into tokens: of a bare JWT it would know no clientId, and refuse it with 40102
  const { token, clientId, capability } = await alice.authorize({ capability: dumps({ 'chat:1': BOTH }) });
  assert.match(token, JWT);
  assert.equal(clientId, 'alice');
  assert.deepEqual(capability, { ...GIVEN, 'chat:1': BOTH });
  await alice.subscribe('chat:1');
  await alice.publish('chat:1', 'hello');
  await until(() => alice.messages.includes('hello'));
  assert.deepEqual(alice.connection.map((one) => one.id), [id, id]);
  assert.deepEqual(all.ably.requests, []);
});

scenario('a set that outgrows a JWT comes as a TokenRequest, and all of it can be used', async (t) => {
  const all = await world(t, { config: { token: { format: 'jwt' }, strategy: 'store', store: { url: 'memory:' } } });
  const rooms = Array.from({ length: 220 }, (_, i) => `room:${i}`);
  const wish = (names) => dumps(Object.fromEntries(names.map((name) => [name, BOTH])));
  for (const room of rooms) all.backend.permitted[room] = BOTH;
  const alice = new Python(all, { ...byUrl(all), auth_method: 'POST', client_id: 'alice' });
  const { id } = await alice.event('connected');

  const small = await alice.authorize({ capability: wish(rooms.slice(0, 70)) });
  assert.match(small.token, JWT);
  assert.deepEqual(all.ably.requests, []);
  const large = await alice.authorize({ capability: wish(rooms.slice(70)) });
  assert.deepEqual(all.ably.requests, [{ path: '/keys/appId.keyId/requestToken', status: 201 }]);
  assert.equal(Object.keys(large.capability).length, 1 + rooms.length, 'with what is given');
  assert.equal(large.clientId, 'alice');
  await alice.attach(rooms.at(0));
  await alice.subscribe(rooms.at(-1));
  await alice.publish(rooms.at(-1), 'hello');
  await until(() => alice.messages.includes('hello'));
  assert.deepEqual(alice.connection.map((one) => one.id), [id, id, id]);
});

scenario('who is not signed in gets 40100, and the same client connects once there is a session', async (t) => {
  const all = await world(t);
  const nobody = {};
  const alice = new Python(all, byUrl(all, nobody));
  const { error } = await alice.event('disconnected');
  // ably-python gives the errors of its connection no cause; request_token() and authorize() raise the service's own
  assert.deepEqual([error.code, error.statusCode], [80019, 401]);
  const unauthenticated = { code: 40100, statusCode: 401, message: /^not authenticated: / };
  await assert.rejects(alice.requestToken(), unauthenticated);
  await assert.rejects(alice.authorize(), unauthenticated);

  await alice.signIn(bearer('alice'));
  await alice.event('connected');
  await alice.attach('inbox:alice');
});

scenario('a client that is barred stops for good, and is told why', async (t) => {
  const all = await world(t);
  all.backend.barred.add('alice');
  const wish = { capability: dumps({ 'chat:1': BOTH }) };
  const alice = new Python(all, { ...byUrl(all), default_token_params: wish });
  const { error } = await alice.event('failed');
  // as above, the connection's error doesn't say why; ably-python's log does
  assert.deepEqual([error.code, error.statusCode], [80019, 403]);
  await alice.process.says('stderr', /on_error_from_authorize\(\): err = 40300 403 \w/);
  await assert.rejects(alice.requestToken(), { code: 40300, statusCode: 403, message: /barred/ });
  assert.deepEqual(alice.connection.map(({ event }) => event), ['failed']);
});

scenario('a client that is barred and revoked while it is connected stops for good', async (t) => {
  const all = await world(t, REVOCABLE);
  all.backend.permitted['chat:1'] = BOTH;
  const alice = new Python(all, byUrl(all));
  await alice.event('connected');
  await alice.authorize({ capability: dumps({ 'chat:1': BOTH }) });
  await alice.attach('chat:1');

  all.backend.barred.add('alice');
  // ably-python stays connected when authorize() gets a 403; it is the end of its token that ends its connection
  await assert.rejects(alice.authorize(), { code: 40300, statusCode: 403 });
  assert.equal((await alice.state()).connection, 'connected');
  await revoke(all, 'alice');
  const { error } = await alice.event('failed');
  assert.deepEqual([error.code, error.statusCode], [80019, 403]);
});

scenario('an auth_callback hides from ably-python that a client is barred: it goes on trying', async (t) => {
  const all = await world(t);
  all.backend.barred.add('alice');
  all.backend.permitted['chat:1'] = BOTH;
  const alice = new Python(all, { ...byCallback(all), default_token_params: { capability: { 'chat:1': BOTH } } });
  // ably-python makes 40170 and 401 of whatever an auth_callback raises; the service's own error is its cause
  await assert.rejects(alice.requestToken(), (error) => {
    assert.deepEqual([error.code, error.statusCode], [40170, 401]);
    assert.deepEqual([error.cause.code, error.cause.statusCode], [40300, 403]);
    return true;
  });
  await alice.event('disconnected');
  all.backend.barred.delete('alice');
  await alice.event('connected');
  await alice.attach('chat:1');
});

scenario('a client that is revoked but still permitted renews when Ably asks, and stays connected', async (t) => {
  const all = await world(t, REVOCABLE);
  all.backend.permitted['chat:1'] = BOTH;
  const alice = new Python(all, byCallback(all));
  const { id } = await alice.event('connected');
  const { token } = await alice.authorize({ capability: { 'chat:1': BOTH } });
  await alice.subscribe('chat:1');
  const asked = all.backend.questions.length;

  await revoke(all, 'alice');
  await until(() => alice.connection.length === 3);
  assert.deepEqual(alice.connection.map(({ event }) => event), ['connected', 'update', 'update']);
  const state = await alice.state();
  assert.notEqual(state.token.token, token);
  assert.deepEqual(state.token.capability, { ...GIVEN, 'chat:1': BOTH });
  assert.deepEqual(all.backend.questions.slice(asked).map((question) => question.asked), [{ 'chat:1': BOTH }]);
  const [connection] = all.ably.of('alice');
  assert.equal(connection.id, id);
  assert.equal(all.ably.tokens.revokedAt(connection.details), Infinity);
  await alice.publish('chat:1', 'still here');
  await until(() => alice.messages.includes('still here'));
});
