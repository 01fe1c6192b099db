// Everybody who takes part: Ably (a stand-in), the application's backend, accrue, and clients.
import Realtime from 'ably';
import { Ably } from '../ably/server.mjs';
import { KEY, serve } from './accrue.mjs';
import { Backend } from './backend.mjs';
import { SESSION_SECRET } from './session.mjs';

/** Starts all of them but the clients; they end with the test. `config` goes over the usual configuration. */
export async function world(t, { config = {}, ably: ablyOptions = {} } = {}) {
  const ably = await Ably.start({ keys: [{ key: KEY, revocable: true }], ...ablyOptions });
  t.after(() => ably.stop());
  const backend = await Backend.start(t);
  const settings = over({
    listen: '127.0.0.1:0',
    ably: { rest_url: `http://127.0.0.1:${ably.port}` },
    authenticate: { jwt: { secret: SESSION_SECRET, cookie: 'session' } },
    permission: { webhook: { url: backend.url } },
    given: { 'inbox:{clientId}': ['subscribe'] },
    token: { jitter: 0 },
  }, config);
  const accrue = await serve(t, settings);
  const all = { t, ably, backend, accrue, settings };
  return Object.assign(all, { realtime: (options) => realtime(all, options) });
}

/** An ably-js client that talks to the stand-in; it is closed with the test. */
function realtime({ t, ably }, options) {
  const client = new Realtime.Realtime({ ...sdkOptions(ably.port), ...options });
  t.after(() => client.close());
  return client;
}

/** What makes ably-js talk to the stand-in, and nothing else. */
export const sdkOptions = (port) => ({
  endpoint: '127.0.0.1',
  port,
  tls: false,
  useBinaryProtocol: false,
  transports: ['web_socket'],
  fallbackHosts: [],
  disableConnectivityCheck: true,
  disconnectedRetryTimeout: 300,
  logLevel: 0,
});

function over(base, changes) {
  const isTable = (value) => typeof value === 'object' && !Array.isArray(value);
  if (!isTable(base) || !isTable(changes)) return changes;
  const merged = Object.entries(changes).map(([name, value]) => [name, over(base[name], value)]);
  return { ...base, ...Object.fromEntries(merged) };
}
