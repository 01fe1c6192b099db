// A real nginx with the buffers that it has by default, in front of the page and of /auth: one origin for both.
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Process } from './process.mjs';
import { until } from './until.mjs';

const NGINX = '/usr/sbin/nginx';
/** Why there are no tests with it, or false. */
export const noNginx = !existsSync(NGINX) && `there is no ${NGINX}`;

/** Starts it. `server`: more lines for its `server` block. `requests()`: `{uri, status}` of what it has answered. */
export async function nginx(t, { page, auth, server = '' }) {
  const folder = mkdtempSync(join(tmpdir(), 'nginx-'));
  t.after(() => rm(folder, { recursive: true }));
  const port = await freePort();
  const file = join(folder, 'nginx.conf');
  const log = join(folder, 'access.log');
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  // one process, so that none is left behind when it is killed
  writeFileSync(file, `
    daemon off;
    master_process off;
    pid ${folder}/pid;
    events {}
    http {
      ${kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(' ')}
      log_format requests escape=json '{"uri":"$request_uri","status":$status}';
      access_log ${log} requests;
      server {
        listen 127.0.0.1:${port};
        ${server}
        location / { proxy_pass http://127.0.0.1:${page}; }
        location = /auth {
          proxy_pass ${auth};
          proxy_set_header Host $http_host;
        }
      }
    }
  `);
  const process = new Process(t, NGINX, ['-c', file, '-p', folder, '-e', 'stderr']);
  const url = `http://localhost:${port}`;
  await until(() => {
    if (process.isOver) throw new Error(`nginx ended: ${process.stderr}`);
    return fetch(`http://127.0.0.1:${port}/`).then(({ ok }) => ok, () => false);
  });
  const requests = () => readFileSync(log, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  return Object.assign(process, { url, requests });
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
