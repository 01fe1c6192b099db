// npm run types: accrue.d.ts fits ably's types, and says no where it should.
import * as Ably from 'ably';
import { Accrue, Denied, Full, Refused, Unavailable } from '../../examples/browser/accrue.js';
import type { Capability, Options } from '../../examples/browser/accrue.js';

const accrue = new Accrue('/auth');
const realtime = new Ably.Realtime({ authCallback: accrue.authCallback });
const rest = new Ably.Rest({ authCallback: accrue.authCallback });

export const options: Options[] = [
  {},
  { carrier: 'header', storage: sessionStorage, headers: { authorization: 'Bearer x' } },
  { headers: () => ({}), fetch, locks: navigator.locks },
  { headers: async () => ({}), locks: null },
  // @ts-expect-error neither carrier
  { carrier: 'cookies' },
  // @ts-expect-error a name is a string
  { headers: () => 'Bearer x' },
];
new Accrue(new URL('https://auth.example.com/auth'), options[1]);

export async function use(): Promise<void> {
  const channel: Ably.RealtimeChannel = await accrue.attach(realtime, 'chat:42');
  await accrue.attach(realtime, channel.name, ['subscribe', 'publish']);
  await accrue.attach(realtime, 'chat:42', ['*']);
  await accrue.attach(realtime, 'chat:42', ['newer-than-these-types']);
  const wishes: Capability = { 'chat:42': ['subscribe'], 'public:*': ['history'] };
  const nothing: void = await accrue.ask(realtime, wishes);
  await accrue.giveUp(wishes);
  await accrue.giveUp();
  // @ts-expect-error a REST client attaches nothing
  await accrue.attach(rest, 'chat:42');
  // @ts-expect-error nor has it a connection to wait for
  await accrue.ask(rest, wishes);
  // @ts-expect-error a list
  await accrue.attach(realtime, 'chat:42', 'subscribe');
  // @ts-expect-error of one at least
  await accrue.attach(realtime, 'chat:42', []);
  // @ts-expect-error what to ask for
  await accrue.ask(realtime);
  // @ts-expect-error an answer is no value
  accrue.authCallback = () => {};
  return nothing;
}

export function explain(error: unknown): string {
  if (error instanceof Denied) return error.name satisfies 'Denied';
  if (error instanceof Full || error instanceof Unavailable) return error.message;
  if (error instanceof Refused) return `${error.code satisfies 40160}: ${Object.keys(error.refused)}`;
  return String(error);
}
