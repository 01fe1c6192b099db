import { isOpen } from './port.mjs';
import { Process } from './process.mjs';
import { until } from './until.mjs';

/** Starts a proxy by this command, and waits until it listens. */
export async function startProxy(t, port, command, args, options) {
  const process = new Process(t, command, args, options);
  await until(() => {
    if (process.isOver) throw new Error(`${command} ended: ${process.stdout}${process.stderr}`);
    return isOpen(port);
  }, () => `${command}: ${process.stderr}`);
}
