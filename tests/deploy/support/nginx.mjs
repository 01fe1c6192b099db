import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { folder } from '../../sdk/support/folder.mjs';
import { noNginx, runNginx } from '../../sdk/support/nginx.mjs';
import { freePort } from '../../sdk/support/port.mjs';
import { application, isPage } from './application.mjs';
import { HOST, certificate } from './certificate.mjs';
import { adapted } from './examples.mjs';
import { missing } from './installed.mjs';
import { serve } from './service.mjs';
import { Site } from './site.mjs';

export const skip = noNginx || missing('openssl');

/** Starts nginx with nginx.conf, accrue and an application behind it. */
export async function startNginx(t) {
  const [accrue, app] = [await serve(t), await application(t)];
  const [port80, port443] = [await freePort(), await freePort()];
  const { cert, key } = certificate(t);
  const site = join(folder(t), 'site.conf');
  writeFileSync(site, adapted('nginx.conf', {
    'listen 80;': `listen 127.0.0.1:${port80};`,
    'listen 443 ssl;': `listen 127.0.0.1:${port443} ssl;`,
    '127.0.0.1:8080': new URL(accrue.url).host,
    '127.0.0.1:3000': `127.0.0.1:${app}`,
    '/etc/ssl/private/app.example.com.pem': cert,
    '/etc/ssl/private/app.example.com.key': key,
  }));
  await runNginx(t, port443, `access_log off; include ${site};`);
  return {
    site: Site.https(port443, readFileSync(cert)),
    plain: Site.http(port80, `http://${HOST}`),
    page: `the page, for ${HOST}`,
    isElsewhere: isPage,
  };
}
