// The wasi:http component of examples/wasi, in wasmtime. It has to be built: examples/wasi/build.
export { start } from '../../../examples/wasi/test/support/wasi.mjs';

const HYPER = 'wasmtime has hyper refuse more than 100 headers with a bare 431';
const SESSIONS = 'the component is built without [authenticate.jwt]';
export const limits = {
  '401 / 40100, by session': SESSIONS,
  'a session JWT': SESSIONS,
  'a session JWT in a cookie': SESSIONS,
  'a session JWT that has to name more': SESSIONS,
  'giving up, by session': SESSIONS,
  'heads: 101 headers more': HYPER,
  'heads: 101 headers more, from a listed page': HYPER,
  'strategy store': 'a component keeps nothing, and says so',
};
