// A real nginx. Unless it is told otherwise, its buffers are those that it has by default.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { folder } from './folder.mjs';
import { freePort } from './port.mjs';
import { startProxy } from './proxy.mjs';

const NGINX = '/usr/sbin/nginx';
/** Why there are no tests with it, or false. */
export const noNginx = !existsSync(NGINX) && `there is no ${NGINX}`;

/** Starts it with these lines in its `http` block, which make it listen on this port. */
export async function runNginx(t, port, http) {
  const own = folder(t);
  const file = join(own, 'nginx.conf');
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  // one process, so that none is left behind when it is killed
  writeFileSync(file, `
    daemon off;
    master_process off;
    pid ${own}/pid;
    events {}
    http {
      ${kinds.map((kind) => `${kind}_temp_path ${own}/${kind};`).join(' ')}
      ${http}
    }
  `);
  await startProxy(t, port, NGINX, ['-c', file, '-p', own, '-e', 'stderr']);
}

const LOCATION = `
  location = /auth {
    proxy_pass http://127.0.0.1:8080;
    proxy_set_header Host $http_host;
  }`;

/**
 * Starts it in front of the page and of /auth: one origin, `url`, for both. `location`: how it passes /auth on, to port
 * 8080. `http`: more lines for its `http` block. `requests()`: `{uri, status}` of what it has answered.
 */
export async function nginx(t, { page, auth, location = LOCATION, http = '' }) {
  const port = await freePort();
  const log = join(folder(t), 'access.log');
  await runNginx(t, port, `
    log_format requests escape=json '{"uri":"$request_uri","status":$status}';
    access_log ${log} requests;
    ${http}
    server {
      listen 127.0.0.1:${port};
      location / { proxy_pass http://127.0.0.1:${page}; }
      ${location.replace('http://127.0.0.1:8080', auth)}
    }
  `);
  const requests = () => readFileSync(log, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  return { url: `http://localhost:${port}`, requests };
}
