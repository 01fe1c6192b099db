// Inside an axum application, below a prefix: examples/embed_config.rs. The variable ACCRUE_AXUM names another build of it.
import { fileURLToPath } from 'node:url';
import { started } from '../support/started.mjs';

const BUILT = new URL('../../../target/debug/examples/embed_config', import.meta.url);
const PROGRAM = process.env.ACCRUE_AXUM ?? fileURLToPath(BUILT);

export async function start({ config, env }) {
  const { url, stop } = await started(env, config, (file) => [PROGRAM, [file, '127.0.0.1:0']]);
  return { url: `${url}/ably`, stop };
}

const HYPER = 'axum::serve has hyper refuse more than 100 headers with a bare 431';
export const limits = {
  'heads: 101 headers more': HYPER,
  'heads: 101 headers more, from a listed page': HYPER,
};
