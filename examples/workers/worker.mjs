// The Worker's entry: what wasm-bindgen leaves to a bundler.
import * as accrue from './accrue_workers_bg.js';
import module from './accrue_workers_bg.wasm';
import config from './accrue.toml';

const instance = new WebAssembly.Instance(module, { './accrue_workers_bg.js': accrue });
accrue.__wbg_set_wasm(instance.exports);
instance.exports.__wbindgen_start?.();

export default {
  fetch(request, env, context) {
    const answer = accrue.answer(request, env, config);
    // also when the client goes away: what is waited for then would never be let go
    context.waitUntil(answer);
    return answer;
  },
};
