// The systemd unit that is shown.
import { output } from './command.mjs';
import { read } from './examples.mjs';

const UNIT = read('accrue.service');

/** What it sets by this name; each line of it is an entry. */
export const settings = (name) => [...UNIT.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value);

/** The system calls that its filters allow. A list that begins with ~ takes some back. */
export function allowedCalls() {
  const allowed = new Set();
  for (const list of settings('SystemCallFilter')) {
    const calls = list.replace(/^~/, '').split(' ').flatMap(callsOf);
    if (list.startsWith('~')) calls.forEach((call) => allowed.delete(call));
    else calls.forEach((call) => allowed.add(call));
  }
  return allowed;
}

/** A system call, or those of a set of systemd's, whose name begins with @. */
function callsOf(name) {
  if (!name.startsWith('@')) return [name];
  const [, ...lines] = output('systemd-analyze', ['syscall-filter', name]).trim().split('\n');
  return lines.map((line) => line.trim()).filter((line) => !line.startsWith('#')).flatMap(callsOf);
}
