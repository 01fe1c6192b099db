// The conformance suite's view of the function, behind each of its sources.
import { bootstrap } from './bootstrap.mjs';
import { front } from './front.mjs';

const REFUSED = 'everybody can reach a Lambda, so it does not start with what is for loopback only';
const LAST = 'without multi-value headers a load balancer passes on the last of what stands twice';

const EVERYWHERE = {
  'whoever they say': REFUSED,
  '421, where everybody is believed': REFUSED,
  'cookies over plain http': REFUSED,
};

const TWICE = [
  ...['a capability twice', 'a clientId twice', 'a ttl twice, once empty'].flatMap((row) =>
    [row, `${row} — for a page`].map((title) => `400 / 40000, malformed: ${title}`)),
  'own, listed and foreign pages: two words',
  'own, listed and foreign pages: listed twice over',
  'grants that count: in a field of its own',
  'the header: several in fields of their own',
  'a session JWT in a cookie: Authorization twice',
  'a proxy\'s header: with the secret twice',
  'a proxy\'s header: two ids',
  'a proxy\'s header: an id twice',
  'the application says who is calling: permitted before its mark is checked again',
  'request ids: two are replaced',
];

/** Rows of the table that come out otherwise, and why. */
const LIMITS = {
  function_url: EVERYWHERE,
  http_api: EVERYWHERE,
  http_api_1: EVERYWHERE,
  rest_api: EVERYWHERE,
  load_balancer: { ...EVERYWHERE, ...Object.fromEntries(TWICE.map((row) => [row, LAST])) },
  load_balancer_multi: EVERYWHERE,
};

export const behind = (source) => ({
  async start({ config, env }) {
    const ends = [];
    const t = { after: (end) => ends.push(end) };
    const { api, failure } = await bootstrap(t, { config, env });
    // what does not start is answered for with 502
    const { url } = await front(t, failure ? { invoke: async () => ({ error: failure }) } : api, source);
    return {
      url,
      async stop() {
        for (const end of ends.reverse()) await end();
      },
    };
  },
  limits: LIMITS[source],
});
