import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { folder } from '../../sdk/support/folder.mjs';
import { freePort } from '../../sdk/support/port.mjs';
import { startProxy } from '../../sdk/support/proxy.mjs';
import { application, isPage } from './application.mjs';
import { HOST, certificate } from './certificate.mjs';
import { adapted } from './examples.mjs';
import { missing } from './installed.mjs';
import { serve } from './service.mjs';
import { Site } from './site.mjs';

export const skip = missing('caddy', 'openssl');

/** Starts Caddy with the Caddyfile, accrue and an application behind it. */
export async function startCaddy(t) {
  const [accrue, app, port] = [await serve(t), await application(t), await freePort()];
  const { cert, key } = certificate(t);
  const own = folder(t);
  const file = join(own, 'Caddyfile');
  // what only root could do is off: its own listeners, and HTTP/3
  const global = `{
    admin off
    auto_https disable_redirects
    default_bind 127.0.0.1
    servers {
      protocols h1 h2
    }
  }`;
  const site = adapted('Caddyfile', {
    'app.example.com {': `https://app.example.com:${port} {\n\ttls ${cert} ${key}`,
    '127.0.0.1:8080': new URL(accrue.url).host,
    '127.0.0.1:3000': `127.0.0.1:${app}`,
  });
  writeFileSync(file, `${global}\n${site}`);
  const env = { PATH: process.env.PATH, HOME: own, XDG_DATA_HOME: own, XDG_CONFIG_HOME: own };
  await startProxy(t, port, 'caddy', ['run', '--config', file, '--adapter', 'caddyfile'], { env });
  const ca = readFileSync(cert);
  return {
    site: Site.https(port, ca),
    http2: Site.http2(port, ca),
    page: `the page, for ${HOST}`,
    isElsewhere: isPage,
  };
}
