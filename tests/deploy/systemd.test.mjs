// The systemd unit, where systemd is not what runs here: what its own tool says of it, and whether accrue could do in
// its sandbox what it does outside.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BINARY } from '../sdk/support/accrue.mjs';
import { folder } from '../sdk/support/folder.mjs';
import { output } from './support/command.mjs';
import { adapted } from './support/examples.mjs';
import { missing } from './support/installed.mjs';
import { drainTimeout, summary } from './support/service.mjs';
import { Trace } from './support/trace.mjs';
import { allowedCalls, settings } from './support/unit.mjs';

/** The unit as a file, with the binary where it is here. */
function unit(t) {
  const file = join(folder(t), 'accrue.service');
  writeFileSync(file, adapted('accrue.service', { '/usr/local/bin/accrue': BINARY }));
  return file;
}

const skip = missing('systemd-analyze');

test('systemd-analyze has no complaint about the unit', { skip }, (t) => {
  const complaints = output('systemd-analyze', ['verify', unit(t)]).split('\n');
  assert.deepEqual(complaints.filter((line) => line.includes('accrue.service')), []);
});

test('the exposure that systemd-analyze finds is 1.5 of 10 at most', { skip }, (t) => {
  const report = output('systemd-analyze', ['security', '--offline=true', '--threshold=15', unit(t)]);
  assert.match(report, /Overall exposure level for accrue\.service: [\d.]+/);
});

test('systemd waits for longer than accrue drains', (t) => {
  const [, seconds] = /^(\d+)s$/.exec(settings('TimeoutStopSec')[0]);
  assert.ok(Number(seconds) > drainTimeout(t));
});

test('accrue may open more than twice as many files as it takes connections', (t) => {
  const [, connections] = /^limits +(\d+) connections/m.exec(summary(t));
  assert.ok(Number(settings('LimitNOFILE')[0]) > 2 * Number(connections));
});

test('in its sandbox', { skip: missing('systemd-analyze', 'strace', 'openssl') }, async (t) => {
  const trace = await Trace.record(t);

  await t.test('every system call that accrue makes is allowed', () => {
    assert.ok(trace.calls.includes('accept4'), `this is not all: ${trace.calls}`);
    const allowed = allowedCalls();
    // execve always is: systemd itself starts the program by it
    assert.deepEqual(trace.calls.filter((call) => !allowed.has(call) && call !== 'execve'), []);
  });

  await t.test('every kind of socket that accrue opens is allowed', () => {
    assert.ok(trace.addressFamilies.includes('AF_INET'), `this is not all: ${trace.addressFamilies}`);
    const allowed = settings('RestrictAddressFamilies').join(' ').split(' ');
    assert.deepEqual(trace.addressFamilies.filter((family) => !allowed.includes(family)), []);
  });

  await t.test('accrue asks for no memory that can be written and executed', () => {
    assert.equal(settings('MemoryDenyWriteExecute')[0], 'yes');
    assert.deepEqual(trace.writableExecutable, []);
  });
});
