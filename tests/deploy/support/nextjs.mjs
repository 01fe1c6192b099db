import { existsSync } from 'node:fs';
import { folder } from '../../sdk/support/folder.mjs';
import { freePort } from '../../sdk/support/port.mjs';
import { startProxy } from '../../sdk/support/proxy.mjs';
import { output } from './command.mjs';
import { pathOf } from './examples.mjs';
import { serve } from './service.mjs';
import { Site } from './site.mjs';

const NEXT = pathOf('nextjs/node_modules/next/dist/bin/next');

export const skip = !existsSync(NEXT) && 'to run it: npm ci --prefix examples/deploy/nextjs';

/** Builds and starts the application in nextjs, accrue behind it. */
export async function startNextjs(t) {
  const port = await freePort();
  const accrue = await serve(t, { ACCRUE_ORIGINS: `http://localhost:${port}` });
  const env = { PATH: process.env.PATH, HOME: folder(t), NEXT_TELEMETRY_DISABLED: '1' };
  const cwd = pathOf('nextjs');
  output(process.execPath, [NEXT, 'build'], { cwd, env: { ...env, ACCRUE_URL: accrue.url } });
  await startProxy(t, port, process.execPath, [NEXT, 'start', '-H', '127.0.0.1', '-p', port], { cwd, env });
  return {
    site: Site.http(port),
    page: 'the page',
    isElsewhere: ({ status, body }) => status === 404 && !body.startsWith('{"error"'),
  };
}
