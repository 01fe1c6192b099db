/** When it is, where a test sets the clock. */
export const NOW = 1_700_000_000_000;

export const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];

/** What has not happened by then is a failure. */
export const LONG = 10 * SECOND;

/** Time that passes when a test says so, for a stand-in: its clock and its timers. */
export class Time {
  #now = NOW;
  #waiting = new Set();
  now = () => this.#now;

  after = (delay, act) => {
    const one = { time: this.#now + delay, act };
    this.#waiting.add(one);
    return () => this.#waiting.delete(one);
  };

  get isWaitedFor() {
    return this.#waiting.size > 0;
  }

  /** What is due happens in its order, and at its time. */
  pass(ms) {
    const end = this.#now + ms;
    const next = () => [...this.#waiting].filter(({ time }) => time <= end).sort((a, b) => a.time - b.time)[0];
    for (let one = next(); one; one = next()) {
      this.#waiting.delete(one);
      this.#now = Math.max(this.#now, one.time);
      one.act();
    }
    this.#now = end;
  }
}
