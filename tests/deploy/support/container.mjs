// What a container engine would make of the image: a root with what is in it, what is mounted, and what every engine
// puts there.
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KEY, SECRET, keyring, listening } from '../../sdk/support/accrue.mjs';
import { folder } from '../../sdk/support/folder.mjs';
import { output } from './command.mjs';
import { ARGUMENTS, COPIES, ENTRYPOINT, USER } from './dockerfile.mjs';
import { CONFIG } from './service.mjs';

export class Container {
  /** With the key set at `jwks`, whose certificate `ca` (PEM) stands for, and this name server. */
  constructor(t, { binary, ca, jwks, nameServer }) {
    this.root = folder(t);
    chmodSync(this.root, 0o755); // its user is not who made it
    for (const name of ['etc/accrue', 'dev']) mkdirSync(join(this.root, name), { recursive: true });
    for (const [, to] of COPIES) copyFileSync(binary, join(this.root, to));
    copyFileSync(CONFIG, join(this.root, 'etc/accrue/accrue.toml'));
    const resolver = `nameserver ${nameServer}\n`;
    const files = { ably: KEY, secrets: keyring(SECRET), 'ca.pem': ca, 'etc/resolv.conf': resolver };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.root, name), text);
    for (const [name, minor] of [['random', 8], ['urandom', 9]]) {
      output('mknod', ['-m', '666', join(this.root, 'dev', name), 'c', '1', String(minor)]);
    }
    this.t = t;
    this.env = {
      PATH: process.env.PATH,
      ABLY_API_KEY_FILE: '/ably',
      ACCRUE_SECRETS_FILE: '/secrets',
      ACCRUE_ADMIN: '127.0.0.1:0',
      ACCRUE_AUTHENTICATE__JWT__JWKS: jwks,
    };
  }

  /** What `accrue check` says there. */
  check() {
    return output('chroot', this.#command(ARGUMENTS.with(0, 'check')), { env: this.env });
  }

  /** Starts it. Its ports are this machine's. */
  serve(env = {}) {
    const command = this.#command([...ARGUMENTS, '--listen', '127.0.0.1:0']);
    return listening(this.t, 'chroot', command, { env: { ...this.env, ...env } });
  }

  #command(args) {
    return [`--userspec=${USER}`, this.root, ...ENTRYPOINT, ...args];
  }
}
