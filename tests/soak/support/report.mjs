// What was found, check by check, and the figures.
const SHOWN = 5;
const LENGTH = 300;

export class Report {
  additions = 0;
  #wrong = new Map();

  constructor(checks) {
    this.checks = new Map(Object.entries(checks));
  }

  added(number) {
    this.additions += number;
  }

  /** Something is wrong by one of the checks, so many times. */
  wrong(check, what, times = 1) {
    const { number, examples } = this.#wrong.get(check) ?? { number: 0, examples: [] };
    if (examples.length < SHOWN) examples.push(what);
    this.#wrong.set(check, { number: number + times, examples });
  }

  times(check) {
    return this.#wrong.get(check)?.number ?? 0;
  }

  /** Prints everything; gives whether all is well. */
  print(rows) {
    const width = Math.max(...rows.map(([name]) => name.length));
    console.log();
    for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value}`);
    console.log();
    for (const [check, name] of this.checks) {
      const wrong = this.#wrong.get(check);
      console.log(`${wrong ? 'FAILED' : 'ok    '}  ${name}${wrong ? `: ${wrong.number} times not` : ''}`);
      for (const example of wrong?.examples ?? []) console.log(`          ${example.slice(0, LENGTH)}`);
    }
    const failed = this.#wrong.size;
    console.log(`\n${this.checks.size - failed} passed, ${failed} failed`);
    return failed === 0;
  }
}
