// Events of every source, as AWS documents them, and the answers to them.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ENV, bootstrap } from './support/bootstrap.mjs';
import { SOURCES, event } from './support/sources.mjs';

const SESSION_SECRET = 'what the application signs its sessions with';
const CONFIG = `
log_format = "json"
[authenticate.jwt]
secret = "${SESSION_SECRET}"
cookie = "session"
[permission.rules]
"chat:*" = ["subscribe"]
[given]
"inbox:{clientId}" = ["subscribe"]
`;
const PROXY_SECRET = 'known to the proxy only';
const BY_PROXY = [['x-client-id', 'alice'], ['x-proxy-secret', PROXY_SECRET]];
const PROXIED = `
[authenticate.header]
proxy_secret = "${PROXY_SECRET}"
[permission.rules]
"*" = ["subscribe"]
[given]
"inbox:{clientId}" = ["subscribe"]
`;
const CAPABILITY = '{"chat:1":["subscribe"],"inbox:alice":["subscribe"]}';
const COOKIE = /^__Host-accrue\.[\w-]{8}=\S+; HttpOnly; SameSite=Strict; Secure; Path=\/; Max-Age=57600$/;

/** Members of an answer. What they are is all that a source takes. */
const MEMBERS = {
  function_url: ['body', 'cookies', 'headers', 'isBase64Encoded', 'statusCode'],
  http_api: ['body', 'cookies', 'headers', 'isBase64Encoded', 'statusCode'],
  http_api_1: ['body', 'isBase64Encoded', 'multiValueHeaders', 'statusCode'],
  rest_api: ['body', 'isBase64Encoded', 'multiValueHeaders', 'statusCode'],
  load_balancer: ['body', 'headers', 'isBase64Encoded', 'statusCode'],
  load_balancer_multi: ['body', 'isBase64Encoded', 'multiValueHeaders', 'statusCode'],
};

/** A function for all the tests of a block. */
function served(config) {
  const ends = [];
  const served = {};
  before(async () => {
    Object.assign(served, await bootstrap({ after: (end) => ends.push(end) }, { config }));
    assert.equal(served.failure, undefined, served.process.stderr);
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });
  return served;
}

const values = (headers, name) => headers.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value);

for (const [source, { prefix, event: eventOf, response }] of Object.entries(SOURCES)) {
  describe(`an event as documented: ${source}`, () => {
    const fn = served(CONFIG);

    it('is granted what its query wishes for, by its session cookie', async () => {
      const { answer, error } = await fn.api.invoke(event(source));
      assert.equal(error, undefined);
      assert.deepEqual(Object.keys(answer).sort(), MEMBERS[source]);
      const { status, headers, body } = response(answer);
      assert.equal(status, 200, body.toString());
      assert.equal(JSON.parse(body).capability, CAPABILITY);
      assert.deepEqual(values(headers, 'content-type'), ['application/json']);
      assert.deepEqual(values(headers, 'cache-control'), ['no-store']);
      const [cookie, ...more] = values(headers, 'set-cookie');
      assert.match(cookie, COOKIE);
      assert.deepEqual(more, []);
    });
  });

  describe(`requests: ${source}`, () => {
    const fn = served(PROXIED);
    const ask = async ({ method = 'GET', path = '/auth', query = '', headers = [], body = '' }, change = (event) => event) => {
      const target = [`${prefix}${path}`, query].filter(Boolean).join('?');
      const all = [['host', 'auth.example.com'], ...BY_PROXY, ...headers];
      const sent = eventOf({ method, target, headers: all, body: Buffer.from(body) });
      const { answer, error } = await fn.api.invoke(change(sent));
      return error ? { error } : response(answer);
    };
    const wish = (name) => JSON.stringify({ [name]: ['subscribe'] });
    const capability = ({ status, body, error }) => {
      assert.equal(status, 200, error ?? body.toString());
      return JSON.parse(JSON.parse(body).capability);
    };

    for (const name of ['a&b=c', '100%', 'a+b c', 'a;b,c', '#a?b', '"\\', '%41', 'größe 😀', '<a>', "a'b"]) {
      it(`a query comes through to the letter: ${name}`, async () => {
        for (const query of [new URLSearchParams({ capability: wish(name) }), `capability=${encodeURIComponent(wish(name))}`]) {
          assert.ok(name in capability(await ask({ query: query.toString() })));
        }
      });
      it(`a form comes through to the letter: ${name}`, async () => {
        const body = new URLSearchParams({ capability: wish(name) }).toString();
        const type = [['content-type', 'application/x-www-form-urlencoded']];
        assert.ok(name in capability(await ask({ method: 'POST', headers: type, body })));
      });
    }

    it('several cookies are set, each apart', async () => {
      const kept = [];
      for (const name of ['chat:1', 'chat:2']) {
        const { headers } = await ask({ query: new URLSearchParams({ capability: wish(name) }).toString() });
        kept.push(values(headers, 'set-cookie')[0].split(';')[0]);
      }
      const folded = await ask({ headers: [['cookie', kept.join('; ')]] });
      assert.deepEqual(Object.keys(capability(folded)), ['chat:1', 'chat:2', 'inbox:alice']);
      const [set, ...deleted] = values(folded.headers, 'set-cookie');
      assert.match(set, COOKIE);
      const names = kept.map((cookie) => cookie.split('=')[0]);
      assert.deepEqual(deleted.map((cookie) => cookie.split('=')[0]).sort(), names.sort());
      for (const cookie of deleted) assert.match(cookie, /=; HttpOnly; SameSite=Strict; Secure; Path=\/; Max-Age=0$/);
    });

    it('a body in base64, and one that is none', async () => {
      const json = Buffer.from(`{"capability":${wish('größe')}}`);
      const encoded = (body) => (event) => ({ ...event, body, isBase64Encoded: true });
      const post = { method: 'POST', headers: [['content-type', 'application/json']] };
      assert.ok('größe' in capability(await ask(post, encoded(json.toString('base64')))));
      const { error } = await ask(post, encoded('not base64'));
      assert.equal(error.errorType, 'NotHttp');
    });

    it("the page's own origin is that of Host, whatever else it is said to be", async () => {
      const at = (origin, ...headers) => ask({ headers: [['origin', origin], ...headers] });
      assert.equal((await at('https://auth.example.com')).status, 200);
      assert.equal((await at('https://evil.example')).status, 403);
      const said = { forwarded: 'host=evil.example', 'x-forwarded-host': 'evil.example', 'x-original-host': 'evil.example' };
      for (const header of Object.entries(said)) assert.equal((await at('https://evil.example', header)).status, 403);
    });

    it('paths are exact, but for the stage', async () => {
      const others = ['/', '/auth/', '/Auth', '/x/auth', '/auth%3Fttl=1', '//auth', '/auth%2F', '/auth%00', '/prodx/auth'];
      for (const path of others) {
        const { status, error } = await ask({ path });
        assert.equal(status, 404, `${path} ${error?.errorMessage}`);
      }
    });

    it('HEAD has no body', async () => {
      const { status, body } = await ask({ method: 'HEAD', path: '/healthz' });
      assert.equal(status, 200);
      assert.equal(body.length, 0);
      assert.equal((await ask({ path: '/healthz' })).body.toString(), 'ok\n');
    });

    it('cookies count once towards what a head may have', async () => {
      assert.equal((await ask({ headers: [['cookie', `other=${'x'.repeat(20_000)}`]] })).status, 200);
    });

    it('a target or a head beyond all limits', async () => {
      assert.equal((await ask({ query: `rnd=${'x'.repeat(100_000)}` })).status, 431);
      assert.equal((await ask({ headers: [['x-large', 'x'.repeat(100_000)]] })).status, 431);
    });
  });
}

describe('a custom domain', () => {
  const fn = served(CONFIG);

  it('that maps a REST API to a base path', async () => {
    const mapped = event('rest_api');
    Object.assign(mapped, { path: '/ably/auth', requestContext: { ...mapped.requestContext, path: '/ably/auth' } });
    assert.equal((await fn.api.invoke(mapped)).answer.statusCode, 200);
  });

  it('that leaves out the stage', async () => {
    assert.equal((await fn.api.invoke({ ...event('http_api'), rawPath: '/auth' })).answer.statusCode, 200);
  });
});

describe('a load balancer without multi-value headers', () => {
  const fn = served(CONFIG);

  it('finds it healthy', async () => {
    const { answer } = await fn.api.invoke(event('health_check'));
    assert.deepEqual([answer.statusCode, answer.body], [200, 'ok\n']);
  });

  it('is told of once in the log', async () => {
    for (let n = 0; n < 3; n += 1) await fn.api.invoke(event('load_balancer'));
    await fn.process.says('stderr', /lambda\.multi_value_headers\.enabled/);
    assert.equal(fn.process.stderr.match(/lambda\.multi_value_headers\.enabled/g).length, 1);
  });
});

describe('what is no HTTP request', () => {
  const fn = served(`log = "trace"\n${CONFIG}`);

  const others = ['console_test', 's3', 'web_socket', 'lattice'].map((name) => [name, event(`not_http/${name}`)]);
  const broken = Object.entries({
    'a text': 'a-canary-of-a-text',
    'a list': [1],
    nothing: null,
    'no path': { ...event('function_url'), rawPath: undefined },
    'no method': { ...event('load_balancer'), httpMethod: undefined },
    'no such method': { ...event('load_balancer'), httpMethod: 'GET /auth' },
    'headers of another shape': { ...event('load_balancer'), headers: 'a-canary-of-headers' },
  });
  for (const [name, document] of [...others, ...broken]) {
    it(`is an error that says so: ${name}`, async () => {
      const { error } = await fn.api.invoke(JSON.stringify(document));
      assert.equal(error.errorType, 'NotHttp');
      assert.match(error.errorMessage, /^not an HTTP request: .*function URLs, API Gateway .* Load Balancers$/);
      assert.doesNotMatch(JSON.stringify(error), /canary/);
      // and the next one is answered
      assert.equal((await fn.api.invoke(event('function_url'))).answer.statusCode, 200);
    });
  }

  it('but headers that HTTP does not allow are left out', async () => {
    const { headers } = event('load_balancer');
    const document = { ...event('load_balancer'), headers: { ...headers, 'a canary': '1', a: 'canary\r\nb: 1' } };
    assert.equal((await fn.api.invoke(document)).answer.statusCode, 200);
  });

  it('or not even JSON', async () => {
    const { error } = await fn.api.invoke('a-canary-of-a-text');
    assert.match(error.errorMessage, /line 1 column 1/);
    assert.doesNotMatch(JSON.stringify(error), /canary/);
  });

  it('and the log has nothing of it, nor of the others, at any level', async () => {
    await fn.process.says('stderr', /"level":"ERROR".*not an HTTP request/);
    await fn.process.says('stderr', /"level":"INFO".*"outcome":"granted"/);
    const [session] = /session=([\w.-]+)/.exec(JSON.stringify(event('function_url'))).slice(1);
    for (const secret of ['canary', session, session.split('.')[2], SESSION_SECRET, ENV.ABLY_API_KEY.split(':')[1]]) {
      assert.ok(!fn.process.stderr.includes(secret), `${secret} is in the log`);
    }
  });
});
