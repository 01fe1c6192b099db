// See README.md.
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Process } from '../sdk/support/process.mjs';
import { CHECKS, Client } from './support/client.mjs';
import { thirds } from './support/lives.mjs';
import { Load } from './support/load.mjs';
import { Pair } from './support/pair.mjs';
import { Report } from './support/report.mjs';

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    short: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    break: { type: 'string' },
  },
});
/** What may be broken on purpose, to see that it is found. */
const BREAKS = ['kill', 'early', 'stranger', 'wide'];
if (options.break && !BREAKS.includes(options.break)) throw new Error(`--break: ${BREAKS.join(', ')}`);
const minutes = options.short ? 1 : Number(options.minutes);
const breaks = (what) => options.break === what;

const CLIENTS = minutes < 5 ? 500 : 2000;
const ROTATIONS = Math.max(1, Math.floor(minutes / 10));
const STEPS = ['second', 'first', 'removed'];
const CALIBRATION = minutes < 5 ? { warmUp: 2, measured: 3 } : { warmUp: 5, measured: 15 };
/** What a life may add between its thirds. nginx keeps up to 32 idle connections, as many as it had use for. */
const FLAT = { rss: minutes < 5 ? 4096 : 2048, threads: 0, files: 32 };

const report = new Report({
  ...CHECKS,
  rejected: 'every grant that comes back verifies',
  rotated: 'every secret is replaced, and nobody has a grant of the old one when that is removed',
  stopped: 'every instance ends well when it is told to',
  log: 'no instance has anything to warn of',
  rss: `memory is flat: the last third of the last life has at most ${FLAT.rss} KiB more than the first`,
  files: `so are file descriptors, to ${FLAT.files}`,
  threads: 'so are threads',
});

const cleanups = [];
const t = { after: (cleanup) => cleanups.unshift(cleanup) };
const cleanUp = async () => { for (const cleanup of cleanups.splice(0)) await cleanup(); };
const giveUp = () => cleanUp().finally(() => process.exit(1));
process.on('SIGINT', giveUp).on('SIGTERM', giveUp);

try {
  process.exitCode = (await soak()) ? 0 : 1;
} finally {
  await cleanUp();
}

async function soak() {
  const end = performance.now() + minutes * 60_000;
  const secrets = new Map(Array.from({ length: ROTATIONS + 1 }, (_, n) => [`k${n}`, secret(`k${n}`)]));
  const [first, ...others] = secrets.values();
  const pair = await Pair.start(t, {
    webhook: await startBackend(),
    secrets: [first],
    stopSignal: breaks('kill') ? 'SIGKILL' : 'SIGTERM',
  });
  const random = randomNumbers(Number(options.seed));
  const clients = Array.from({ length: CLIENTS }, (_, n) => new Client(n, { random, secrets, report }));
  const load = new Load({ url: pair.url, clients });
  const capacity = await measure(load);
  load.pace(capacity / 2);
  say(`${Math.round(capacity)} requests a second when asked as fast as it answers; half of that from now on`);

  // the last third is left without restarts, to look at memory
  const start = performance.now();
  const interval = (end - start) * 2 / 3 / (ROTATIONS * STEPS.length);
  let done = 0;
  let old = first;
  for (const fresh of others) {
    for (const step of STEPS) {
      await until(start + interval * done++);
      if (step === 'removed') await everybodyHas(fresh, load);
      const kids = keyrings(old, fresh)[step];
      await pair.restart((place) => (breaks('stranger') && place === 1 ? [secret('another')] : kids));
      say(`${step} of ${old.kid} and ${fresh.kid}: ${kids.map(({ kid }) => kid).join(', ')}`);
    }
    old = fresh;
  }
  // a slow machine has come this far later
  await until(Math.max(end, performance.now() + (end - start) / 4));
  await load.end();
  await pair.stop();
  return conclude({ load, pair, capacity });
}

/** What the instances know after each step that the README names. */
function keyrings(old, fresh) {
  return { second: [old, fresh], first: breaks('early') ? [fresh] : [fresh, old], removed: [fresh] };
}

/** The condition for removing the old secret: all have come by, and what they hold is sealed anew. */
async function everybodyHas({ kid }, load) {
  const begun = load.rounds;
  const without = () => load.clients.filter((client) => client.kids().some((one) => one !== kid));
  while (without().length && load.rounds < begun + 3) await sleep(100);
  for (const client of without()) report.wrong('rotated', `${client.id} holds ${client.kids()}, not ${kid}`);
}

async function measure(load) {
  await sleep(CALIBRATION.warmUp * 1000);
  const [before, started] = [load.answers, performance.now()];
  await sleep(CALIBRATION.measured * 1000);
  return (load.answers - before) / ((performance.now() - started) / 1000);
}

async function startBackend() {
  const file = fileURLToPath(new URL('support/backend.mjs', import.meta.url));
  const backend = new Process(t, process.execPath, [file, ...(breaks('wide') ? ['wide'] : [])]);
  const [, port] = await backend.says('stdout', /^port (\d+)$/m);
  return `http://127.0.0.1:${port}/ably/permissions`;
}

function conclude({ load, pair, capacity }) {
  const expected = pair.restarts / 2;
  if (expected !== ROTATIONS * STEPS.length) report.wrong('rotated', `${expected} steps`);
  for (const { code, metrics, log } of pair.ended) {
    if (code !== 0) report.wrong('stopped', `it ended with ${code}`);
    for (const line of log.split('\n').filter(Boolean)) report.wrong('log', line);
    for (const [line, number] of metrics.matchAll(/^accrue_grants_rejected_total\S* (\d+)$/gm)) {
      if (Number(number)) report.wrong('rejected', line, Number(number));
    }
  }
  const rows = pair.instances.map(({ address, lives: { all } }) => {
    const life = all.at(-1);
    for (const [name, more] of Object.entries(FLAT)) {
      const [before, after] = thirds(life, name);
      if (!(after <= before + more)) report.wrong(name, `${address}: ${before}, and then ${after}`);
    }
    const shown = ['rss', 'files', 'threads'].map((name) => `${name} ${thirds(life, name).join(' -> ')}`);
    return [`${address}, last life`, `${life.length} s: ${shown.join(', ')}`];
  });
  const QUESTIONS = /^accrue_check_duration_seconds_count\S* (\d+)$/m;
  const asked = pair.ended.reduce((sum, { metrics }) => sum + Number(QUESTIONS.exec(metrics)?.[1]), 0);
  const statuses = [...load.byStatus].sort().map(([status, number]) => `${number} of ${status}`);
  const retries = Object.entries(counted(pair.retries())).map(([kind, number]) => `${number} of ${kind}`);
  return report.print([
    ['minutes', String(minutes)],
    ['capacity', `${Math.round(capacity)} requests a second; asked were half of it`],
    ['requests', String(load.answers)],
    ['answers', statuses.join(', ')],
    ['additions', `${report.additions}, of which ${report.times('lost')} lost`],
    ['questions to the backend', String(asked)],
    ['asked again by nginx', retries.join('; ') || 'none'],
    ['restarts, rotations', `${pair.restarts}, ${ROTATIONS}`],
    ['p50, p99', `${load.percentile(0.5)} ms, ${load.percentile(0.99)} ms`],
    ...rows,
  ]);
}

function counted(lines) {
  const numbers = {};
  for (const line of lines) numbers[line] = (numbers[line] ?? 0) + 1;
  return numbers;
}

function secret(kid) {
  return { kid, bytes: createHash('sha256').update(`while it soaks: ${kid}`).digest() };
}

/** The same numbers for the same seed (mulberry32). */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function until(moment) {
  await sleep(Math.max(0, moment - performance.now()));
}

function say(what) {
  console.error(`${new Date().toISOString().slice(11, 19)}  ${what}`);
}
