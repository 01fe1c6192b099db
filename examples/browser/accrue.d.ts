import type { AuthOptions, CapabilityOp, RealtimeChannel, RealtimeClient } from 'ably';

/** Operations by channel or pattern: `{ 'chat:42': ['subscribe', 'publish'] }`. */
export type Capability = { [resource: string]: readonly [Operation, ...Operation[]] };

/** Ably's operations, `*` for all of them, and any that your server lists under `extra_operations`. */
export type Operation = CapabilityOp | '*' | (string & {});

export interface Options {
  /**
   * What keeps the grant between requests: the browser's `cookie` (default), or the `header` Accrue-Grant, where there
   * are no cookies: from another site, in Node.
   */
  carrier?: 'cookie' | 'header';
  /**
   * Where the grant of the `header` carrier survives a reload, such as `sessionStorage`; by default nowhere. Not
   * `localStorage`: tabs would overwrite each other's.
   */
  storage?: { getItem(key: string): string | null; setItem(key: string, value: string): void };
  /**
   * Headers for each request, fixed or made anew each time. From a page on another origin accrue takes `authorization`
   * and no other.
   */
  headers?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>);
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
  /** In place of `navigator.locks`; `null` to do without. */
  locks?: Locks | null;
}

export interface Locks {
  request(name: string, options: { signal: AbortSignal }, work: () => Promise<unknown>): Promise<unknown>;
}

/**
 * Gets tokens from accrue for one Ably client: each client needs an `Accrue` of its own.
 *
 * It is made for the strategies that remember, `cookie` and `store`. Where cookies don't go (another site, Node), the
 * grant travels in a header, and so does who is calling:
 *
 *     new Accrue('https://auth.example.com/auth', {
 *       carrier: 'header',
 *       storage: sessionStorage,
 *       headers: async () => ({ authorization: `Bearer ${await sessionToken()}` }),
 *     });
 *
 * Closing the client ends all that waits for a token. Mind that ably-js opens a client again that was closed while its
 * token was on the way.
 */
export class Accrue {
  /** @param url - where accrue serves `/auth`; in Node with its origin */
  constructor(url: string | URL, options?: Options);

  /** For `new Ably.Realtime({ authCallback: accrue.authCallback })`. */
  readonly authCallback: NonNullable<AuthOptions['authCallback']>;

  /**
   * Asks for these operations, unless the client's token has them, and attaches. However many channels are attached at
   * the same moment, it is one request, and none of its own while the client connects: it goes along with the first
   * token. Works on channels that are attached, or have failed, too.
   *
   * @param operations - all that the channel is needed for; by default `['subscribe']`. All of them, or it throws
   * @returns the channel, attached
   * @throws {@link Denied}, {@link Full}, {@link Unavailable}; or what `authorize()` or the channel's `attach()` throws
   */
  attach(ably: RealtimeClient, name: string, operations?: Capability[string]): Promise<RealtimeChannel>;

  /**
   * Asks for these rights, whether or not the token has them. What is granted of them counts, also if the rest is not.
   *
   * @returns once a token with all of them is in effect
   * @throws as {@link Accrue.attach}
   */
  ask(ably: RealtimeClient, wishes: Capability): Promise<void>;

  /**
   * Gives up what this covers, or without it everything, also what still waits to be answered. The token that is out
   * stays good until it is renewed.
   *
   * @throws Error with `code` and `statusCode`
   */
  giveUp(capability?: Capability): Promise<void>;
}

/**
 * Not all that was wished for was granted. Where there are several reasons, it is the first of `Denied`, `Full` and
 * `Unavailable`; as itself it says that they were too long for an answer: ask for less at once.
 */
export class Refused extends Error {
  readonly name: 'Refused' | 'Denied' | 'Full' | 'Unavailable';
  /** Ably's "operation not permitted with provided capability". */
  readonly code: 40160;
  readonly statusCode: 401;
  /** What was not granted. */
  readonly refused: Record<string, string[]>;
}

/** Not permitted. Asking again would not help. */
export class Denied extends Refused {
  readonly name: 'Denied';
}

/** What this client holds has no room for it: give something up first. */
export class Full extends Refused {
  readonly name: 'Full';
}

/**
 * Nobody could say now whether it is permitted. It goes along with every token until that is known: then `attach` needs
 * no request. Or try again later.
 */
export class Unavailable extends Refused {
  readonly name: 'Unavailable';
}
