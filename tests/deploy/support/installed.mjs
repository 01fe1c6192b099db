import { spawnSync } from 'node:child_process';

/** Debian's packages that are not called as their programs. */
const PACKAGES = { 'systemd-analyze': 'systemd' };

/** Why a test that runs these programs is skipped; false if all of them are there. */
export function missing(...programs) {
  const absent = programs.filter((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  return absent.length > 0
    && `to run it: apt-get install ${absent.map((program) => PACKAGES[program] ?? program).join(' ')}`;
}
