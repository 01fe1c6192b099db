import type { AuthOptions, CapabilityOp, RealtimeChannel, RealtimeClient, RestClient } from 'ably';

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
   * Where the grant of the `header` carrier outlives the page, such as `sessionStorage`; by default nowhere. Not
   * `localStorage`: tabs would overwrite each other's.
   */
  storage?: { getItem(key: string): string | null; setItem(key: string, value: string): void };
  /** Headers for each request, such as `authorization`: fixed, or made anew each time. Another origin's server allows no other. */
  headers?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>);
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
  /** In place of `navigator.locks`; `null` to do without. */
  locks?: { request(name: string, options: { signal: AbortSignal }, work: () => Promise<unknown>): Promise<unknown> } | null;
}

/**
 * Gets tokens from accrue for one Ably client. All that waits for a connection can be ended with the client's `close()`.
 */
export class Accrue {
  /**
   * @param url - where accrue serves `/auth`; in Node with its origin
   * @throws TypeError if options don't fit together
   */
  constructor(url: string | URL, options?: Options);

  /** For `new Ably.Realtime({ authCallback: accrue.authCallback })`. */
  readonly authCallback: NonNullable<AuthOptions['authCallback']>;

  /**
   * Asks for these operations, unless the client's token has them, and attaches: one request however many channels, and
   * none if the first token brings it. Works on channels that are attached, or have failed, too.
   *
   * @param operations - all that the channel is needed for; by default `['subscribe']`. All of them, or it throws
   * @returns the channel, attached
   * @throws {@link Denied}, {@link Full}, {@link Unavailable}; or what `authorize()` or the channel's `attach()` throws
   */
  attach(ably: RealtimeClient, name: string, operations?: Capability[string]): Promise<RealtimeChannel>;

  /**
   * Asks for these rights, whether or not the token has them. What is granted of them counts, also when the rest is not.
   *
   * @returns once a token with all of them is in effect
   * @throws as {@link Accrue.attach}
   */
  ask(ably: RealtimeClient | RestClient, wishes: Capability): Promise<void>;

  /**
   * Gives up what this covers, or without it everything, also what still waits to be answered. The token that is out
   * stays good until it is renewed.
   *
   * @throws Error with `code` and `statusCode`
   */
  giveUp(capability?: Capability): Promise<void>;
}

/**
 * Not all that was wished for was granted. As itself it says that nobody knows why: the answer named too many to tell.
 */
export class Refused extends Error {
  readonly name: 'Refused' | 'Denied' | 'Full' | 'Unavailable';
  /** Ably's "operation not permitted with provided capability". */
  readonly code: 40160;
  readonly statusCode: 401;
  /** What was not granted, by reason, as in the header Accrue-Refused. */
  readonly refused: { readonly [reason in 'denied' | 'full' | 'unavailable' | 'unknown']?: Record<string, string[]> };
}

/** Not permitted. Asking again would not help. */
export class Denied extends Refused {
  readonly name: 'Denied';
}

/** What this client holds has no room for it: give something up first. */
export class Full extends Refused {
  readonly name: 'Full';
}

/** Nobody could say now whether it is permitted. It goes along with every token until it is answered; or try again later. */
export class Unavailable extends Refused {
  readonly name: 'Unavailable';
}
