import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

/** Runs a command, which must succeed, to its end; gives what it prints. */
export function output(command, args, options = {}) {
  const { error, status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (error) throw error;
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout + stderr;
}
