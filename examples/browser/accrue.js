/**
 * For ably-js with accrue behind it: channels are asked for when they are needed. Copy this file and accrue.d.ts, which
 * says more; there is nothing to install or build. For browsers of the last three years, and Node 20.
 *
 *     const accrue = new Accrue('/auth');                  // one for each client; what it may do is kept in a cookie
 *     const ably = new Ably.Realtime({ authCallback: accrue.authCallback });
 *     try {
 *       const channel = await accrue.attach(ably, 'chat:42', ['subscribe', 'publish']);
 *     } catch (error) {
 *       if (error instanceof Denied) say('This chat is not yours.');
 *       else if (error instanceof Unavailable) say('Please try again in a minute.');
 *       else throw error;
 *     }
 *     await accrue.giveUp();                               // at sign-out, while the session still counts
 */

const TIME_LIMIT = 9_000; // ms for a request and all that it waits for: ably-js gives up on an authCallback after 10 s
const LOCK_LIMIT = 3_000; // ms to wait for another tab, which may hang: without the lock nothing is lost
const MOST = 256; // resources that accrue takes in one request

/** Not all that was wished for was granted: not what is `refused`. */
export class Refused extends Error {
  name = 'Refused';
  code = 40160;
  statusCode = 401;
  refused = {};
}
export class Denied extends Refused { name = 'Denied'; }
export class Full extends Refused { name = 'Full'; }
export class Unavailable extends Refused { name = 'Unavailable'; }
/** By reason; of several, the first counts. */
const ERRORS = { denied: Denied, full: Full, unavailable: Unavailable, unknown: Refused };

export class Accrue {
  #url;
  #options;
  #grant; // carrier 'header': what the client holds, sealed
  #granted = []; // the rights of the last token
  #wishes = []; // those without an answer, and those that were unavailable: { rights, isAnswered, error, goesAlone }
  #turns = Promise.resolve(); // of ask()
  #requests = Promise.resolve();

  constructor(url, options = {}) {
    this.#url = String(url);
    const { carrier = 'cookie', fetch = globalThis.fetch, locks = globalThis.navigator?.locks } = options;
    this.#options = { ...options, carrier, fetch, locks };
    this.#grant = options.storage?.getItem(`accrue ${url}`) ?? 'none';
  }

  async attach(ably, name, operations = ['subscribe']) {
    const wishes = { [name]: operations };
    const isNew = missing(rightsOf(wishes), this.#granted).length > 0;
    if (isNew) await this.ask(ably, wishes);
    const channel = ably.channels.get(name);
    await channel.attach().catch(async (error) => {
      if (isNew || error.code !== 40160) throw error;
      await this.ask(ably, wishes); // the token that permits it was not the one in effect
      await channel.attach();
    });
    return channel;
  }

  async ask(ably, wishes) {
    const wish = { rights: rightsOf(wishes) };
    this.#wishes.push(wish);
    const turn = this.#turns.then(() => this.#takeTurn(ably, wish));
    this.#turns = turn.catch(() => {});
    return turn;
  }

  /** One `authorize()` at a time. It brings all wishes, so most of them are answered before their turn. */
  async #takeTurn(ably, wish) {
    const { connection } = ably;
    // a connection that is being made gets its token by authCallback, which brings the wish
    while (connection.state === 'connecting') await new Promise((changed) => connection.once(changed));
    let failed;
    // if the first answer can't say which wish it is about, the wish goes alone the second time
    for (let tries = 0; tries < 2 && !wish.isAnswered; tries++) failed = await authorize(ably);
    if (!wish.isAnswered) failed ??= failure('this client does not use this authCallback');
    this.#wishes = this.#wishes.filter((other) => other !== wish || wish.isAnswered);
    if (wish.error ?? failed) throw wish.error ?? failed;
  }

  authCallback = (params, done) => {
    const request = this.#inTurn(async (signal) => {
      // those that wait for an answer first: all that can go together, or one that has to go alone
      const waiting = [...this.#wishes].sort((a, b) => Boolean(a.isAnswered) - Boolean(b.isAnswered));
      const wishes = waiting.slice(0, waiting[0]?.goesAlone ? 1 : MOST).filter((wish, i) => !i || !wish.goesAlone);
      const rights = [...rightsOf(JSON.parse(params.capability ?? '{}')), ...wishes.flatMap((wish) => wish.rights)];
      const capability = rights.length ? capabilityOf(rights) : undefined;
      const answer = await this.#send(signal, 'POST', this.#url, { ...params, capability });
      this.#settle(wishes, answer);
      return answer;
    });
    request.then(({ error = null, token = null }) => done(error, token), (error) => done(error, null));
  };

  #settle(wishes, { status, reasons, token, error }) {
    const isOutage = status === 0 || status === 408 || status === 429 || status >= 500;
    const isMalformed = status === 400 || status === 413;
    const isUnclear = wishes.length > 1 && (isMalformed || (reasons.truncated && !isOutage));
    const other = isOutage ? 'unavailable' : reasons.truncated ? 'unknown' : 'denied';
    const granted = rightsOf(JSON.parse(token?.capability ?? '{}'));
    if (token) this.#granted = granted;
    for (const wish of wishes) {
      const rest = missing(wish.rights, granted);
      const isInDoubt = isUnclear && rest.length > 0;
      wish.goesAlone = isInDoubt && !wish.isAnswered; // so that the next answer is about this one
      if (isInDoubt) continue; // what was unavailable still is
      if (!rest.length) wish.error = undefined;
      else if (token || isOutage || error.code === 40160) wish.error = refusal(rest, reasons, other, error);
      else if (isMalformed || !wish.isAnswered) wish.error = error; // or what was unavailable still is
      wish.isAnswered = true;
    }
    this.#wishes = this.#wishes.filter((wish) => !wish.isAnswered || wish.error instanceof Unavailable);
  }

  async giveUp(capability) {
    const rights = capability ? rightsOf(capability) : [['[*]*', '*']];
    const mark = this.#url.includes('?') ? '&' : '?';
    const query = capability ? `${mark}capability=${encodeURIComponent(JSON.stringify(capability))}` : '';
    const { error } = await this.#inTurn((signal) => {
      this.#granted = []; // the token has it still, but the next one will not
      for (const wish of this.#wishes) if (wish.isAnswered) wish.rights = missing(wish.rights, rights);
      return this.#send(signal, 'DELETE', this.#url + query);
    });
    if (error) throw error;
  }

  /** Requests take turns: in one client, whose answers in a header would overwrite each other, and among tabs. */
  #inTurn(work) {
    const signal = AbortSignal.timeout(TIME_LIMIT);
    const turn = this.#requests.then(() => {
      const { carrier, locks } = this.#options;
      let begun;
      const begin = () => (begun ??= work(signal)); // once, with the lock or without
      if (carrier === 'header' || !locks) return begin();
      return locks.request(`accrue ${this.#url}`, { signal: AbortSignal.timeout(LOCK_LIMIT) }, begin).catch(begin);
    });
    this.#requests = turn.catch(() => {});
    return turn;
  }

  /** Never throws: `error` is what went wrong, as ably-js wants it; `status` 0 is no answer. */
  async #send(signal, method, url, params) {
    const { carrier, storage, headers, fetch } = this.#options;
    try {
      const own = typeof headers === 'function' ? await Promise.race([headers(), aborted(signal)]) : headers;
      const grant = carrier === 'header' && { 'accrue-grant': this.#grant };
      const all = { ...own, ...grant, 'content-type': 'application/json' };
      const credentials = grant ? 'same-origin' : 'include';
      const response = await fetch(url, { method, headers: all, body: JSON.stringify(params), credentials, signal });
      this.#grant = response.headers.get('accrue-grant') ?? this.#grant;
      try {
        storage?.setItem(`accrue ${this.#url}`, this.#grant);
      } catch {} // full: memory has to do
      const { status } = response;
      const reasons = JSON.parse(response.headers.get('accrue-refused') ?? '{}');
      const isJson = response.headers.get('content-type')?.startsWith('application/json');
      const json = (isJson && (await response.json())) || {};
      if (method === 'DELETE' ? status === 204 : json.capability) return { status, reasons, token: json };
      // a proxy's answer, or its sign-in page, has no error of Ably's kind
      const { code = status < 400 ? 40170 : status * 100, message = `${method} ${url}: ${status}` } = json.error ?? {};
      return { status, reasons, error: failure(message, code, status < 400 ? 401 : status) };
    } catch (cause) {
      return { status: 0, reasons: {}, error: failure(`${method} ${url}: ${cause}`, 40170, 401, cause) };
    }
  }
}

/** Gives what went wrong, if anything. There are no arguments, since ably-js would repeat them with each renewal. */
function authorize({ auth, connection }) {
  return new Promise((settle) => {
    const end = () => settle(failure('the client is closed', 80017, 400));
    if (['closing', 'closed'].includes(connection.state)) return end(); // authorize() would open it again
    connection.once('closed', end); // then it would never settle
    auth.authorize().then(() => settle(), settle).finally(() => connection.off(end));
  });
}

/** Fails when the time is up. */
function aborted(signal) {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

/** What ably-js takes from an authCallback: it goes by code and statusCode, and shows the text if it is an Error. */
function failure(message, code = 40170, statusCode = 401, cause) {
  return Object.assign(new Error(message, { cause }), { name: 'accrue', code, statusCode });
}

/** The error for rights that were not granted; `other` is the reason if the answer does not name them. */
function refusal(rights, reasons, other, cause) {
  const isOurs = ([resource, operation]) =>
    rights.some(([name, one]) => name === resource && [one, '*'].includes(operation));
  const reason = Object.keys(ERRORS).find((one) => rightsOf(reasons[one]).some(isOurs)) ?? other;
  const refused = capabilityOf(rights);
  return Object.assign(new ERRORS[reason](`${reason}: ${JSON.stringify(refused)}`, { cause }), { refused });
}

/** Rights are pairs of resource and operation. So names are never keys here, and `__proto__` is one like any other. */
function rightsOf(capability = {}) {
  return Object.entries(capability).flatMap(([resource, operations]) => operations.map((name) => [resource, name]));
}

function capabilityOf(rights) {
  const all = new Map(rights.map(([resource]) => [resource, new Set()]));
  for (const [resource, operation] of rights) all.get(resource).add(operation);
  const list = (operations) => (operations.has('*') ? ['*'] : [...operations]); // `*` has to stand alone
  return Object.fromEntries([...all].map(([resource, operations]) => [resource, list(operations)]));
}

/** Those rights that no granted one covers. */
function missing(rights, granted) {
  return rights.filter(([resource, operation]) =>
    !granted.some(([pattern, name]) => [operation, '*'].includes(name) && contains(pattern, resource)));
}

/** Ably's wildcards, as accrue reads them: https://ably.com/docs/auth/capabilities#wildcards */
function contains(pattern, resource) {
  // a qualifier, such as [meta], or that there is none, becomes the first segment
  const [ours, theirs] = [pattern, resource].map((text) => text.replace(/^(\[.*?\])?/s, '$&:').split(':'));
  const last = ours.length - 1;
  const isOpen = ours[last] === '*'; // one or more segments, any of them empty; another `*` is one that is not
  if (isOpen ? theirs.length < ours.length : theirs.length !== ours.length) return false;
  const isWild = (our, i) => (i === 0 ? our === '[*]' : our === '*' && (i === last || theirs[i] !== ''));
  return ours.every((our, i) => our === theirs[i] || isWild(our, i));
}
