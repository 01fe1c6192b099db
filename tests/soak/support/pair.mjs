// Two instances of `accrue serve` behind nginx, and what restarts them one after the other.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { adapted, read } from '../../deploy/support/examples.mjs';
import { BINARY, KEY, keyring } from '../../sdk/support/accrue.mjs';
import { folder } from '../../sdk/support/folder.mjs';
import { runNginx } from '../../sdk/support/nginx.mjs';
import { freePort } from '../../sdk/support/port.mjs';
import { Process } from '../../sdk/support/process.mjs';
import { until } from '../../sdk/support/until.mjs';
import { RECHECK_AFTER_SECONDS, SESSION_SECRET } from './client.mjs';
import { Lives } from './lives.mjs';

const configuration = ({ address, webhook }) => `
listen = "${address}"
admin  = "127.0.0.1:0"

[authenticate.jwt]
secret = "${SESSION_SECRET}"
cookie = "session"

[permission.webhook]
url     = "${webhook}"
timeout = "30s"                      # a machine that is busy is no outage

[given]
"inbox:{clientId}" = ["subscribe"]

[grant]
recheck_after = "${RECHECK_AFTER_SECONDS}s"
`;

// The log at the default level is written and read, but neither INFO is kept nor what is said of the configuration.
const USUAL = ' INFO | WARN accrue::serve: ';
const SERVE = `exec "$0" serve --config "$1" 2> >(exec grep -avE --line-buffered "${USUAL}" >&2)`;

const KEEP_ALIVE = 'proxy_http_version 1.1; proxy_set_header Connection "";';

class Instance {
  lives = new Lives();

  /** `stopSignal`: what ends it. */
  constructor(t, { address, webhook, stopSignal }) {
    Object.assign(this, { t, address, stopSignal });
    this.config = join(folder(t), 'accrue.toml');
    writeFileSync(this.config, configuration({ address, webhook }));
  }

  /** Starts it with these secrets, and waits until it is ready. */
  async start(secrets) {
    const env = { PATH: process.env.PATH, ABLY_API_KEY: KEY, ACCRUE_SECRETS: keyring(...secrets) };
    this.process = new Process(this.t, 'bash', ['--norc', '-c', SERVE, BINARY, this.config], { env });
    const [, admin] = await this.process.says('stdout', /^admin on (\S+)$/m);
    this.admin = admin;
    const isReady = async () => (await fetch(`http://${this.address}/readyz`)).ok;
    await until(isReady, () => `ready: ${this.process.stderr}`);
    this.lives.begin(this.process.child.pid);
  }

  /** Ends it, and gives what is to be known of its life. */
  async stop() {
    const metrics = await (await fetch(`${this.admin}/metrics`)).text();
    this.lives.end();
    const code = await this.process.stop(this.stopSignal);
    return { code, metrics, log: this.process.stderr };
  }
}

export class Pair {
  restarts = 0;
  /** What stopped ones left behind. */
  ended = [];

  static async start(t, { webhook, secrets, stopSignal = 'SIGTERM' }) {
    const pair = new Pair();
    const port = await freePort();
    // clients get ports of 127.0.0.1, so that none of them takes one of these while it is free
    const addresses = ['127.0.0.2', '127.0.0.3'].map((host) => `${host}:${port}`);
    pair.instances = addresses.map((address) => new Instance(t, { address, webhook, stopSignal }));
    for (const instance of pair.instances) await instance.start(secrets);
    // one is looked at as Prometheus does; the other must not need that
    const [watched] = pair.instances;
    const watching = setInterval(() => fetch(`${watched.admin}/metrics`).catch(() => {}), 5000);
    t.after(() => clearInterval(watching));
    await pair.#startNginx(t, addresses);
    return pair;
  }

  /** Rolling: the second one when the first is back. */
  async restart(secretsOf) {
    for (const [place, instance] of this.instances.entries()) {
      this.ended.push(await instance.stop());
      await instance.start(secretsOf(place));
      this.restarts += 1;
    }
  }

  async stop() {
    for (const instance of this.instances) this.ended.push(await instance.stop());
  }

  /** What nginx asked again: `METHOD refused` or `METHOD sent`. */
  retries() {
    return readFileSync(this.log, 'utf8').split('\n').filter(Boolean);
  }

  async #startNginx(t, addresses) {
    const port = await freePort();
    const own = folder(t);
    this.log = join(own, 'retries.log');
    const site = join(own, 'site.conf');
    const [server] = /server 127\.0\.0\.1:8080.*;/.exec(read('nginx.conf'));
    writeFileSync(site, adapted('nginx.conf', {
      [server]: addresses.map((address) => server.replace('127.0.0.1:8080', address)).join(' '),
      'listen 80;': `listen 127.0.0.1:${await freePort()};`,
      'listen 443 ssl;': `listen 127.0.0.1:${port};`,
      'ssl_certificate ': '# ',
      'ssl_certificate_key ': '# ',
      // what nginx 1.29.7 does by itself
      'keepalive_timeout 4s;': 'keepalive 32; keepalive_timeout 4s;',
      'proxy_set_header Host': `${KEEP_ALIVE} proxy_set_header Host`,
    }));
    await runNginx(t, port, `
      log_format retried '$request_method $was_sent';
      map $upstream_addr $retried { default 0; "~," 1; }
      # the first instance refused the connection; or it closed it, with the request under way
      map $upstream_bytes_sent $was_sent { default sent; "~^0," refused; }
      access_log ${this.log} retried if=$retried;
      include ${site};
    `);
    this.url = `http://127.0.0.1:${port}`;
  }
}
