/**
 * For ably-js with accrue behind it: channels are asked for when they are needed. Copy this file and accrue.d.ts;
 * there is nothing to install or build. For browsers of the last three years, and Node 20.
 *
 *     const accrue = new Accrue('/auth');                          // the grant is kept in a cookie
 *     const ably = new Ably.Realtime({ authCallback: accrue.authCallback });
 *     try {
 *       const channel = await accrue.attach(ably, 'chat:42', ['subscribe', 'publish']);
 *     } catch (error) {
 *       if (error instanceof Denied) say('This chat is not yours.');
 *       else if (error instanceof Unavailable) say('Please try again in a minute.');
 *       else throw error;
 *     }
 *     await accrue.giveUp();                                       // at sign-out, while the session still counts
 *
 * Where cookies don't go (another site, Node), the grant travels in a header, and what says who is calling in another:
 *
 *     const accrue = new Accrue('https://auth.example.com/auth', {
 *       carrier: 'header',
 *       storage: sessionStorage,                                   // survives a reload; without it, memory
 *       headers: async () => ({ authorization: `Bearer ${await sessionToken()}` }),
 *     });
 *
 * It promises: one `authorize()` at a time, and what is wished for meanwhile goes along with the next. A refused wish is
 * never repeated; an unavailable one goes along with every token until it is answered. Tabs take turns where there is
 * `navigator.locks`. A client that was closed stays closed. It is made for the strategies that remember, `cookie` and
 * `store`: under `client` all is listed each time, which ably-js does by itself with `authUrl` and `authorize()`.
 */

const TIME_LIMIT = 9_000; // ms for a request and all that it waits for: ably-js gives up on an authCallback after 10 s
const LOCK_LIMIT = 3_000; // ms to wait for another tab, which may hang: without the lock nothing is lost

/** Not all that was wished for was granted. `refused` says what and why, in the shape of the header Accrue-Refused. */
export class Refused extends Error {
  name = 'Refused';
  code = 40160;
  statusCode = 401;

  constructor(message, refused, cause) {
    super(message, { cause });
    this.refused = refused;
  }
}
export class Denied extends Refused { name = 'Denied'; }
export class Full extends Refused { name = 'Full'; }
export class Unavailable extends Refused { name = 'Unavailable'; }

/** Where there are several reasons, the first of these makes the error. */
const REASONS = {
  denied: [Denied, 'not permitted: asking again would not help'],
  full: [Full, 'no room is left: give something up first'],
  unavailable: [Unavailable, 'could not be checked now: it goes along with the next token, or try again later'],
  unknown: [Refused, 'not granted, and the reasons were too long for a header: ask for less at once'],
};

export class Accrue {
  #url;
  #options;
  #grant = 'none'; // carrier 'header': what this client holds, sealed
  #calls = []; // of ask(), not settled yet
  #most = Infinity; // how many of them go into one request
  #granted = []; // rights of the last token
  #later = []; // rights that were unavailable
  #client; // of the current turn; aborted if it is closed meanwhile
  #turns = Promise.resolve();
  #requests = Promise.resolve();

  constructor(url, options = {}) {
    const { carrier = 'cookie', storage, headers, fetch = globalThis.fetch, locks = globalThis.navigator?.locks } = options;
    if (!['cookie', 'header'].includes(carrier)) throw new TypeError(`carrier: 'cookie' or 'header', not ${carrier}`);
    if (storage && carrier !== 'header') throw new TypeError("storage goes with carrier: 'header'; browsers keep cookies");
    this.#url = String(url);
    this.#options = { carrier, storage, headers, fetch, locks };
    try {
      this.#grant = storage?.getItem(`accrue ${url}`) ?? 'none';
    } catch {} // switched off: memory has to do
  }

  authCallback = (params, done) => {
    this.#issue(params, this.#client).then((token) => done(null, token), (error) => done(error, null));
  };

  async attach(ably, name, operations = ['subscribe']) {
    const wishes = { [name]: operations };
    const rights = wished(wishes);
    const isUnderway = this.#calls.some((call) => missing(rights, call.rights).length < rights.length); // not in effect yet
    const isNew = isUnderway || missing(rights, this.#granted).length > 0;
    if (isNew) await this.ask(ably, wishes);
    const channel = ably.channels.get(name);
    try {
      await channel.attach();
    } catch (error) {
      if (isNew || error.code !== 40160) throw error;
      await this.ask(ably, wishes); // that token is not the one in effect
      await channel.attach();
    }
    return channel;
  }

  async ask(ably, wishes) {
    const rights = wished(wishes);
    if (this.#calls.some((other) => other.ably !== ably)) throw new TypeError('take one Accrue for each Ably client');
    const key = JSON.stringify(rights);
    let call = this.#calls.find((other) => other.key === key);
    if (!call) {
      call = { ably, key, rights };
      call.settled = new Promise((resolve, reject) => Object.assign(call, { resolve, reject }));
      this.#calls.push(call);
      this.#turns = this.#turns.then(async () => {
        while (this.#calls.includes(call)) await this.#takeTurn(ably);
      });
    }
    return call.settled;
  }

  async giveUp(capability) {
    const rights = capability === undefined ? [['[*]*', '*']] : wished(capability);
    const query = capability === undefined ? '' : `capability=${encodeURIComponent(JSON.stringify(capability))}`;
    const url = query ? `${this.#url}${this.#url.includes('?') ? '&' : '?'}${query}` : this.#url;
    const { error } = await this.#alone((signal) => {
      this.#granted = []; // the token has it still, but the next one will not
      this.#later = missing(this.#later, rights);
      return this.#send(signal, 'DELETE', url);
    });
    if (error) throw error;
  }

  /** One `authorize()` for all that is wished for; or none, if a connection in the making brings it. */
  async #takeTurn(ably) {
    const { connection } = ably;
    const wasConnecting = connection?.state === 'connecting';
    while (connection?.state === 'connecting') await new Promise((changed) => connection.once(changed));
    const hasConnected = wasConnecting && connection.state === 'connected';
    const calls = this.#calls.slice(0, this.#most);
    const isGranted = (call) => !missing(call.rights, this.#granted).length;
    const isOver = (call) => call.refusal || (hasConnected && isGranted(call));
    let failed;
    try {
      if (!calls.every(isOver)) await this.#authorize(ably);
    } catch (error) {
      failed = error;
    }
    for (const call of calls.filter(({ again }) => !again)) {
      const isMet = call.isAnswered || isGranted(call);
      const error = call.refusal ?? failed ?? (isMet ? null : failure('this client does not use this authCallback'));
      if (error) call.reject(error);
      else call.resolve();
      this.#calls.splice(this.#calls.indexOf(call), 1);
    }
    for (const call of calls) call.again = false;
    if (!this.#calls.length) this.#most = Infinity;
  }

  /** Without parameters: ably-js would repeat them. If a client is closed meanwhile, its `authorize()` may never settle. */
  async #authorize({ auth, connection }) {
    if (!connection) return auth.authorize(); // a REST client
    const ended = (reason) => reason ?? failure(`the connection is ${connection.state}`, 80017, 400);
    if (connection.state === 'failed') throw ended(connection.errorReason);
    if (['closing', 'closed'].includes(connection.state)) throw ended();
    const client = new AbortController();
    const end = ({ reason }) => client.abort(ended(reason));
    connection.on(['closing', 'closed', 'suspended'], end);
    this.#client = client.signal;
    try {
      return await Promise.race([auth.authorize(), aborted(client.signal)]);
    } finally {
      this.#client = undefined;
      connection.off(end);
    }
  }

  #issue(params, client) {
    return this.#alone(async (signal) => {
      const calls = this.#calls.slice(0, this.#most).filter((call) => !call.isAnswered);
      const late = this.#most === Infinity ? this.#later : [];
      const rights = [...rightsOf(parsed(params.capability)), ...late, ...calls.flatMap((call) => call.rights)];
      const capability = rights.length ? capabilityOf(rights) : undefined;
      const answer = await this.#send(signal, 'POST', this.#url, JSON.stringify({ ...params, capability }));
      this.#learn(calls, late, answer);
      client?.throwIfAborted(); // a token would open it again
      if (answer.error) throw answer.error;
      return answer.token;
    });
  }

  /** What became of the wishes. An answer that doesn't say which of several it is about is asked for again by halves. */
  #learn(calls, late, { status, token, reasons, error }) {
    const isOutage = status === 0 || status === 408 || status === 429 || status >= 500;
    const isMalformed = status === 400 || status === 413;
    if (error && error.code !== 40160 && !isOutage && !isMalformed) return; // about the client, not its wishes
    const granted = rightsOf(parsed(token?.capability));
    if (token) this.#granted = granted;
    const other = isOutage ? 'unavailable' : isMalformed || reasons.truncated ? 'unknown' : 'denied';
    const refused = (rights) => byReason(missing(rights, granted), reasons, other);
    const isShared = calls.length > 1 || late.length > 0;
    for (const call of calls) {
      const found = refused(call.rights);
      call.again = isShared && 'unknown' in found;
      call.isAnswered = !call.again && !isMalformed;
      if (call.isAnswered) call.refusal = refusal(found, error);
    }
    const { unavailable } = refused([...late, ...calls.flatMap((call) => call.rights)]);
    const unasked = late === this.#later ? [] : this.#later;
    this.#later = rightsOf(capabilityOf([...unasked, ...rightsOf(unavailable)]));
    if (calls.some((call) => call.again)) this.#most = Math.ceil(calls.length / 2);
  }

  /** Requests take turns: in one client, whose answers in a header would overwrite each other, and among tabs. */
  #alone(work) {
    const { carrier, locks } = this.#options;
    const signal = AbortSignal.timeout(TIME_LIMIT);
    const result = this.#requests.then(async () => {
      if (!locks || carrier === 'header') return work(signal);
      let begun;
      const begin = () => (begun = work(signal));
      try {
        return await locks.request(`accrue ${this.#url}`, { signal: AbortSignal.timeout(LOCK_LIMIT) }, begin);
      } catch {
        return begun ?? begin();
      }
    });
    this.#requests = result.catch(() => {});
    return result;
  }

  /** Never throws: `error` is what went wrong, as ably-js wants it; `status` 0 is no answer. */
  async #send(signal, method, url, body) {
    const request = `${method} ${url}`;
    try {
      const { status, reasons, json } = await Promise.race([this.#exchange(signal, method, url, body), aborted(signal)]);
      if (method === 'DELETE' ? status === 204 : json.capability) return { status, reasons, token: json };
      if (status < 400) return { status, reasons, error: failure(`${request}: ${status}, but no token of accrue's`) };
      const own = { code: status * 100, message: `${request}: ${status}` }; // a proxy's answer has no other
      const { code, message } = Number.isInteger(json.error?.code) ? json.error : own;
      return { status, reasons, error: failure(message, code, status) };
    } catch (cause) {
      return { status: 0, reasons: {}, error: failure(`${request}: ${cause?.message ?? cause}`, 40170, 401, cause) };
    }
  }

  async #exchange(signal, method, url, body) {
    const { carrier, storage, headers, fetch } = this.#options;
    const own = typeof headers === 'function' ? await headers() : headers;
    const json = body && { 'content-type': 'application/json' };
    const grant = carrier === 'header' && { 'accrue-grant': this.#grant };
    const credentials = carrier === 'cookie' ? 'include' : 'same-origin';
    const response = await fetch(url, { method, headers: { ...own, ...json, ...grant }, body, credentials, signal });
    if (grant) {
      this.#grant = response.headers.get('accrue-grant') ?? this.#grant;
      try {
        storage?.setItem(`accrue ${this.#url}`, this.#grant);
      } catch {} // full, or switched off
    }
    const reasons = parsed(response.headers.get('accrue-refused'));
    return { status: response.status, reasons, json: parsed(await response.text()) };
  }
}

/** What ably-js takes from an authCallback: it goes by code and statusCode, and shows the text. */
function failure(message, code = 40170, statusCode = 401, cause) {
  return Object.assign(new Error(message, { cause }), { name: 'accrue', code, statusCode });
}

function refusal(refused, cause) {
  const reason = Object.keys(REASONS).find((name) => name in refused);
  if (!reason) return undefined;
  const [Kind, advice] = REASONS[reason];
  return new Kind(`${JSON.stringify(refused[reason])}: ${advice}`, refused, cause);
}

function aborted(signal) {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

function parsed(text) {
  try {
    return JSON.parse(text || '{}') ?? {};
  } catch {
    return {};
  }
}

function wished(capability) {
  const isWish = ([resource, operations]) => resource && Array.isArray(operations) && operations.length
    && operations.every((operation) => operation && typeof operation === 'string');
  const entries = Object.entries(capability ?? {});
  if (entries.length && entries.every(isWish)) return rightsOf(capability);
  throw new TypeError(`a capability is written {"chat:42": ["subscribe"]}, not ${JSON.stringify(capability)}`);
}

/** Rights are pairs of resource and operation. So names are never keys here, and `__proto__` is one like any other. */
function rightsOf(capability = {}) {
  return Object.entries(capability).flatMap(([resource, operations]) => operations.map((name) => [resource, name]));
}

function capabilityOf(rights) {
  const all = new Map();
  for (const [resource, operation] of rights) all.set(resource, (all.get(resource) ?? new Set()).add(operation));
  const list = (operations) => (operations.has('*') ? ['*'] : [...operations]); // `*` has to stand alone
  return Object.fromEntries([...all].map(([resource, operations]) => [resource, list(operations)]));
}

/** Those rights that no granted one covers. */
function missing(rights, granted) {
  const covers = ([pattern, all], [resource, operation]) => [operation, '*'].includes(all) && contains(pattern, resource);
  return rights.filter((right) => !granted.some((one) => covers(one, right)));
}

/** Ably's wildcards, as accrue reads them: https://ably.com/docs/auth/capabilities#wildcards */
function contains(pattern, resource) {
  if (pattern === resource) return true;
  const [[kind, ours], [otherKind, theirs]] = [pattern, resource].map((text) => {
    const [, qualifier = '', name] = /^(\[.*?\])?(.*)$/s.exec(text);
    return [qualifier, name.split(':')];
  });
  const last = ours.length - 1;
  const isOpen = ours[last] === '*'; // one or more segments, any of them empty; another `*` is one that is not
  return (kind === otherKind || kind === '[*]')
    && (isOpen ? theirs.length > last : theirs.length === last + 1)
    && ours.every((our, i) => our === theirs[i] || (our === '*' && (i === last || theirs[i] !== '')));
}

/** What was refused, in the shape of Accrue-Refused; `other` is the reason for what that does not name. */
function byReason(rights, reasons, other) {
  const found = {};
  for (const [resource, operation] of rights) {
    const isIt = ([name, all]) => name === resource && [operation, '*'].includes(all);
    const listed = Object.keys(REASONS).find((reason) => rightsOf(reasons[reason]).some(isIt));
    (found[listed ?? other] ??= []).push([resource, operation]);
  }
  return Object.fromEntries(Object.entries(found).map(([reason, some]) => [reason, capabilityOf(some)]));
}
