import { setTimeout as sleep } from 'node:timers/promises';

const LONG = 15_000;

/** Waits until `found` gives something, and gives that. */
export async function until(found, what = () => found.toString()) {
  for (const end = Date.now() + LONG; Date.now() < end; await sleep(20)) {
    const value = await found();
    if (value) return value;
  }
  throw new Error(`it did not come to pass: ${what()}`);
}
