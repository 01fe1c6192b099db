// The Dockerfile that is shown: the build, and the image of the last stage.
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { output } from './command.mjs';
import { read } from './examples.mjs';

const TOP = fileURLToPath(new URL('../../..', import.meta.url));
const TARGET = join(TOP, 'target/static');
const [builder, image] = read('Dockerfile').replaceAll('\\\n', '').split(/^(?=FROM )/m).slice(-2);

/** The arguments of an instruction, as often as it is there. */
function all(stage, instruction) {
  return [...stage.matchAll(new RegExp(`^${instruction} (.*)$`, 'gm'))].map((match) => match[1]);
}

export const BASE = all(image, 'FROM')[0];
/** What is copied from the build: `[from, to]`. */
export const COPIES = all(image, 'COPY').map((copy) => copy.replace('--from=build ', '').split(' '));
export const ENTRYPOINT = JSON.parse(all(image, 'ENTRYPOINT')[0]);
export const ARGUMENTS = JSON.parse(all(image, 'CMD')[0]);
export const USER = all(image, 'USER')[0];

/** Builds as it does; gives the path of what the image then has. */
export function build() {
  const root = join(TARGET, 'root');
  const env = { ...process.env, CARGO_TARGET_DIR: TARGET, CARGO_INSTALL_ROOT: root };
  for (const command of all(builder, 'RUN')) output('sh', ['-ec', command], { cwd: TOP, env });
  return join(root, 'bin', basename(COPIES[0][0]));
}
