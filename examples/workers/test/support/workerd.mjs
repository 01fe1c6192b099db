// The Worker in dist/, in the workerd that Cloudflare runs, on a free port.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const example = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
// its package's own `bin` is a script that starts this one, and would have to be ended apart from it
const platform = `@cloudflare/workerd-${process.platform}-${{ x64: '64' }[process.arch] ?? process.arch}`;
const WORKERD = createRequire(import.meta.url).resolve(`${platform}/bin/workerd`);

/**
 * Starts the Worker on the text of an accrue.toml, `env` being its bindings, and this machine the only place that it is
 * reached from. `{ url, lines, stop }`: `lines` is what it has logged.
 */
export async function start({ config, env }) {
  const folder = mkdtempSync(join(tmpdir(), 'accrue-workerd-'));
  cpSync(example('dist'), join(folder, 'dist'), { recursive: true });
  writeFileSync(join(folder, 'local.toml'), config);
  writeFileSync(join(folder, 'worker.capnp'), withBindings(env));

  const args = ['serve', 'worker.capnp', '--socket-addr=http=127.0.0.1:0', '--control-fd=3'];
  const stdio = ['ignore', 'pipe', 'pipe', 'pipe'];
  const child = spawn(WORKERD, args, { cwd: folder, env, stdio });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const stop = async () => {
    child.kill();
    await ended;
    rmSync(folder, { recursive: true });
  };
  const lines = [];
  for (const output of [child.stdout, child.stderr]) createInterface(output).on('line', (line) => lines.push(line));
  const port = new Promise((resolve) => {
    createInterface(child.stdio[3]).on('line', (line) => {
      const { event, port } = JSON.parse(line);
      if (event === 'listen') resolve(port);
    });
  });
  const bound = await Promise.race([port, ended.then(() => undefined)]);
  if (bound === undefined) {
    rmSync(folder, { recursive: true });
    throw new Error(`workerd has not started:\n${lines.join('\n')}`);
  }
  return { url: `http://127.0.0.1:${bound}`, lines, stop };
}

/** worker.capnp with these bindings: texts by environment variables, and what is no text written into it. */
function withBindings(env) {
  const lines = Object.entries(env).map(([name, value]) => {
    const isText = value === undefined || typeof value === 'string';
    const from = isText ? `fromEnvironment = "${name}"` : `json = ${JSON.stringify(JSON.stringify(value))}`;
    return `    (name = "${name}", ${from}),`;
  });
  const isSet = (line) => Object.keys(env).some((name) => line.includes(`(name = "${name}"`));
  const others = readFileSync(example('worker.capnp'), 'utf8').split('\n').filter((line) => !isSet(line));
  return others.join('\n').replace('bindings = [', ['$&', ...lines].join('\n'));
}
