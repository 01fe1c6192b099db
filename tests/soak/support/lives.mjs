// What the system says of a process, second by second, from each start to each stop.
import { readFileSync, readdirSync } from 'node:fs';

export class Lives {
  /** Lists of `{rss, threads, files}`; rss in KiB. */
  all = [];
  #timer;

  begin(pid) {
    const life = [];
    this.all.push(life);
    this.#timer = setInterval(() => life.push(sample(pid)), 1000);
  }

  end() {
    clearInterval(this.#timer);
  }
}

function sample(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const number = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1]);
  return { rss: number('VmRSS'), threads: number('Threads'), files: readdirSync(`/proc/${pid}/fd`).length };
}

/** What a life has in the first and the last third of what comes after a fifth that is for warming up. */
export function thirds(life, name) {
  const values = life.slice(Math.ceil(life.length / 5)).map((one) => one[name]);
  const third = Math.ceil(values.length / 3);
  return [values.slice(0, third), values.slice(-third)].map(name === 'rss' ? median : least);
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
/** What is there however little there is to do: connections come and go with the load. */
const least = (values) => Math.min(...values);
