// The function as Lambda sees it: how it starts, or does not, what it logs, and how it ends.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { listen } from '../sdk/support/listen.mjs';
import { until } from '../sdk/support/until.mjs';
import { ENV, bootstrap } from './support/bootstrap.mjs';
import { event } from './support/sources.mjs';

const GIVEN = '[given]\n"inbox:{clientId}" = ["subscribe"]\n';
const RULES = '[permission.rules]\n"chat:*" = ["subscribe"]\n';
const JWT = '[authenticate.jwt]\nsecret = "what the application signs its sessions with"\ncookie = "session"\n';
const CONFIG = `log_format = "json"\n${JWT}${RULES}${GIVEN}`;
const webhook = (url) => `log_format = "json"\n${JWT}[permission.webhook]\nurl = "${url}"\n${GIVEN}`;

/** Starts it on a configuration that it should refuse; gives what it says. */
async function refused(t, options) {
  const { process, failure } = await bootstrap(t, options);
  assert.equal(failure.type, 'Runtime.ConfigInvalid', process.stderr);
  assert.equal(failure.errorType, 'Runtime.ConfigInvalid');
  assert.equal(await process.ended, 2);
  assert.ok(process.stderr.includes(failure.errorMessage), process.stderr);
  return failure.errorMessage;
}

test('a configuration that is wrong is an error at start, which says what to write', async (t) => {
  const env = { ...ENV, ABLY_API_KEY: 'not-a-key' };
  assert.match(await refused(t, { config: CONFIG, env }), /ably\.key/);
  assert.match(await refused(t, { config: `stratgy = "cookie"\n${CONFIG}` }), /did you mean "strategy"/);
  assert.match(await refused(t, { config: `log = "loud"\n${CONFIG}` }), /"loud" is no level/);
  const elsewhere = { ...ENV, ACCRUE_CONFIG: '/nowhere/accrue.toml' };
  assert.match(await refused(t, { env: elsewhere }), /can't read \/nowhere\/accrue\.toml/);
  assert.match(await refused(t, {}), /authenticate/);
});

test('what is for loopback only is refused, as everybody can reach it', async (t) => {
  for (const listen of ['', 'listen = "127.0.0.1:8080"\n']) {
    const config = `${listen}[authenticate.claimed]\n${RULES}`;
    assert.match(await refused(t, { config }), /\[authenticate\.claimed\] believes everybody/);
  }
  assert.match(await refused(t, { config: `${CONFIG}[cookie]\nsecure = false\n` }), /cookie\.secure = false/);
});

test('a store that other instances do not see is refused, or warned of', async (t) => {
  const store = (url) => ({ config: `${CONFIG}[store]\nurl = "${url}"\n` });
  assert.match(await refused(t, store('redb:/tmp/accrue.redb')), /use redis:/);
  const { process } = await bootstrap(t, store('memory:'));
  await process.says('stderr', /"level":"WARN".*other processes don't see them/);
});

test('an admin listener is warned of, and not there', async (t) => {
  const { process } = await bootstrap(t, { config: `admin = "127.0.0.1:1"\n${CONFIG}` });
  await process.says('stderr', /a Lambda has no admin listener/);
});

test('the configuration can be elsewhere, and variables beat it', async (t) => {
  const first = await bootstrap(t, { config: CONFIG });
  const moved = join(first.root, 'moved.toml');
  renameSync(join(first.root, 'accrue.toml'), moved);
  const env = { ...ENV, ACCRUE_CONFIG: moved, ACCRUE_TOKEN__FORMAT: 'jwt' };
  const { api, process } = await bootstrap(t, { env });
  const { answer } = await api.invoke(event('function_url'));
  assert.equal(answer.statusCode, 200, process.stderr);
  assert.match(JSON.parse(answer.body).token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
  assert.doesNotMatch(process.stderr, /ACCRUE_CONFIG is not read/);
});

test('next to the binary, where there is no task root', async (t) => {
  const { api, failure, process } = await bootstrap(t, { config: CONFIG, env: { ...ENV, LAMBDA_TASK_ROOT: '/nowhere' } });
  assert.equal(failure, undefined, process.stderr);
  assert.equal((await api.invoke(event('function_url'))).answer.statusCode, 200);
});

test('who was permitted what is in the log before the answer is out', async (t) => {
  const { api, process } = await bootstrap(t, { config: CONFIG });
  await api.invoke(event('function_url'));
  await process.stop('SIGKILL');
  const lines = process.stderr.trim().split('\n').map((line) => JSON.parse(line));
  const audit = lines.find(({ target }) => target === 'audit');
  assert.equal(audit.client, 'alice');
  assert.equal(audit.permitted, '{"chat:1":["subscribe"]}');
  const request = lines.find(({ target }) => target === 'accrue::request');
  assert.deepEqual([request.route, request.status, request.outcome], ['/auth', 200, 'granted']);
});

test('SIGTERM and SIGINT end it', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const { process } = await bootstrap(t, { config: CONFIG });
    assert.equal(await process.stop(signal), 0, process.stderr);
  }
});

test('it ends with an error when the Runtime API does', async (t) => {
  const ends = [];
  const { api, process } = await bootstrap({ after: (end) => ends.push(end) }, { config: CONFIG });
  t.after(async () => { for (const end of ends) await end(); });
  await until(() => api.polls === 1);
  await ends.at(-2)();
  assert.equal(await process.ended, 2);
  assert.match(process.stderr, /^accrue: the Runtime API failed: /m);
});

test('an answer comes before the timeout, whatever the check does', async (t) => {
  const hanging = await listen(t, createServer(() => {}));
  const { api, process } = await bootstrap(t, { config: webhook(`http://127.0.0.1:${hanging}/`) });
  const started = Date.now();
  const { answer } = await api.invoke(event('function_url'), 1000);
  assert.ok(Date.now() - started < 1000);
  assert.equal(answer.statusCode, 503);
  assert.equal(answer.headers['x-ably-errorcode'], '50003');
  assert.equal(answer.headers['retry-after'], '5');
  assert.equal(answer.cookies, undefined);
  await process.says('stderr', /"outcome":"unavailable".*the function's timeout was near/);
  // with the time that it takes, the check is what did not answer, and what is given is there
  const { answer: later } = await api.invoke(event('function_url'));
  assert.equal(later.statusCode, 200);
  assert.equal(later.headers['accrue-refused'], '{"unavailable":{"chat:1":["subscribe"]}}');
});

test('several at once, where Lambda wants that', async (t) => {
  let waiting = [];
  const check = createServer((_, response) => {
    waiting.push(response);
    if (waiting.length < 3) return;
    for (const one of waiting) one.setHeader('content-type', 'application/json').end('{"granted":{"chat:1":["subscribe"]}}');
    waiting = [];
  });
  const config = webhook(`http://127.0.0.1:${await listen(t, check)}/`);
  const { api } = await bootstrap(t, { config, env: { ...ENV, AWS_LAMBDA_MAX_CONCURRENCY: '3' } });
  await until(() => api.polls === 3);
  const answers = await Promise.all([1, 2, 3].map(() => api.invoke(event('function_url'))));
  assert.deepEqual(answers.map(({ answer }) => answer.headers['accrue-refused']), [undefined, undefined, undefined]);
});

test('one at a time otherwise', async (t) => {
  const { api } = await bootstrap(t, { config: CONFIG });
  await until(() => api.polls === 1);
  const answers = await Promise.all([1, 2, 3].map(() => api.invoke(event('function_url'))));
  assert.deepEqual(answers.map(({ answer }) => answer.statusCode), [200, 200, 200]);
  await until(() => api.polls === 1);
});

test('with arguments it is the command that it always is', async (t) => {
  const { process, api } = await bootstrap(t, { config: CONFIG, args: ['check', '--config', 'accrue.toml'] });
  assert.equal(await process.ended, 0, process.stderr);
  assert.match(process.stdout, /may be asked +"chat:\*"/);
  assert.equal(api.polls, 0);
});
