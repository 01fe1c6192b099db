import { Ably } from '../ably/server.mjs';
import { Tokens } from '../ably/tokens.mjs';
import { KEYS } from './ably_keys.mjs';
import { NONCE, tokenRequest } from './ably_signed.mjs';
import { NOW } from './time.mjs';

/** A stand-in that ends with the test. */
export async function start(t, options) {
  const ably = await Ably.start({ keys: KEYS, ...options });
  t.after(() => ably.stop());
  return ably;
}

/** A stand-in's tokens with a clock that is set by hand. */
export function tokens(options) {
  const clock = { now: NOW };
  const all = new Tokens({ keys: KEYS, now: () => clock.now, ...options });
  let count = 0;
  const issue = (members, key) => {
    count += 1;
    const request = tokenRequest({ timestamp: clock.now, nonce: `${NONCE}${count}`, ...members }, key);
    return all.exchange(request.keyName, request).token;
  };
  return { all, clock, issue };
}
