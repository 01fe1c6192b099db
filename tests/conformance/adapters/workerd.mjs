// The Cloudflare Worker of examples/workers, in workerd. It has to be built: examples/workers/build.
export { start } from '../../../examples/workers/test/support/workerd.mjs';

export const limits = {
  'strategy store': 'a Worker keeps nothing, and says so',
  'own, listed and foreign pages: an empty name': 'workerd leaves out an Origin that is empty, which no browser sends',
};
