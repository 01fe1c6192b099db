// The component in dist/, in `wasmtime serve`, on a free port. The variable WASMTIME names another than that on the PATH.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const COMPONENT = fileURLToPath(new URL('../../dist/accrue.wasm', import.meta.url));
const WASMTIME = process.env.WASMTIME ?? 'wasmtime';

/** Starts it on the text of an accrue.toml. `{ url, lines, stop }`: `lines` is what it has logged. */
export async function start({ config, env }) {
  const variables = { ACCRUE_LISTEN: '127.0.0.1:8080', ...env, ACCRUE_CONFIG: config };
  const set = Object.keys(variables).map((name) => `--env=${name}`);
  const args = ['serve', '-Opooling-allocator=n', '-Scli', '--no-logging-prefix', '--addr=127.0.0.1:0', ...set, COMPONENT];
  const child = spawn(WASMTIME, args, { env: { HOME: process.env.HOME, PATH: process.env.PATH, ...variables }, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject));
  const stop = async () => {
    child.kill();
    await ended;
  };
  const lines = [];
  const listening = new Promise((resolve) => {
    createInterface(child.stderr).on('line', (line) => {
      const [, url] = /^Serving HTTP on (\S+?)\/?$/.exec(line) ?? [];
      if (url) resolve(url);
      else lines.push(line);
    });
  });
  const url = await Promise.race([listening, ended.then(() => undefined)]);
  if (url === undefined) throw new Error(`wasmtime has not started:\n${lines.join('\n')}`);
  return { url, lines, stop };
}
