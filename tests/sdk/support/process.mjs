import { spawn } from 'node:child_process';
import { until } from './until.mjs';

/** A process of ours: its outputs are kept, and it ends with the test. */
export class Process {
  stdout = '';
  stderr = '';

  constructor(t, command, args, options = {}) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    this.child.stdout.on('data', (data) => { this.stdout += data; });
    this.child.stderr.on('data', (data) => { this.stderr += data; });
    this.ended = new Promise((resolve, reject) => {
      this.child.on('close', (code, signal) => resolve(code ?? signal));
      this.child.on('error', reject);
    });
    this.ended.catch((error) => { this.stderr += error.message; }).finally(() => { this.isOver = true; });
    t.after(() => this.stop('SIGKILL'));
  }

  /** Waits for this in an output; gives the match. */
  says(output, pattern) {
    return until(() => {
      const found = pattern.exec(this[output]);
      if (!found && this.isOver) throw new Error(`it ended before it said ${pattern}: ${this.stderr}`);
      return found;
    }, () => `${pattern} in ${this[output]}`);
  }

  stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    return this.ended.catch(() => {});
  }
}
