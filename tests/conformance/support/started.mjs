import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listening } from '../../sdk/support/accrue.mjs';
import { folder } from '../../sdk/support/folder.mjs';

/** Starts a program that says where it listens, on a configuration in a file; `command` says how. */
export async function started(env, config, command) {
  const ends = [];
  const t = { after: (end) => ends.push(end) };
  const stop = async () => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  const file = join(folder(t), 'accrue.toml');
  writeFileSync(file, config);
  try {
    const { url } = await listening(t, ...command(file), { env });
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
