import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { folder } from '../../sdk/support/folder.mjs';
import { application, isPage } from './application.mjs';
import { HOST, certificate } from './certificate.mjs';
import { adapted } from './examples.mjs';
import { missing } from './installed.mjs';
import { freePort } from './port.mjs';
import { startProxy } from './proxy.mjs';
import { serve } from './service.mjs';
import { Site } from './site.mjs';

export const skip = missing('nginx', 'openssl');

/** Starts nginx with nginx.conf, accrue and an application behind it. */
export async function startNginx(t) {
  const [accrue, app] = [await serve(t), await application(t)];
  const [port80, port443] = [await freePort(), await freePort()];
  const { cert, key } = certificate(t);
  const own = folder(t);
  const site = join(own, 'site.conf');
  writeFileSync(site, adapted('nginx.conf', {
    'listen 80;': `listen 127.0.0.1:${port80};`,
    'listen 443 ssl;': `listen 127.0.0.1:${port443} ssl;`,
    '127.0.0.1:8080': new URL(accrue.url).host,
    '127.0.0.1:3000': `127.0.0.1:${app}`,
    '/etc/ssl/private/app.example.com.pem': cert,
    '/etc/ssl/private/app.example.com.key': key,
  }));
  const main = join(own, 'nginx.conf');
  writeFileSync(main, `
    daemon off; master_process off; pid ${own}/nginx.pid; error_log stderr;
    events {}
    http {
      access_log off;
      client_body_temp_path ${own}; proxy_temp_path ${own};
      fastcgi_temp_path ${own}; uwsgi_temp_path ${own}; scgi_temp_path ${own};
      include ${site};
    }`);
  await startProxy(t, port443, 'nginx', ['-c', main]);
  return {
    site: Site.https(port443, readFileSync(cert)),
    plain: Site.http(port80, `http://${HOST}`),
    page: `the page, for ${HOST}`,
    isElsewhere: isPage,
  };
}
