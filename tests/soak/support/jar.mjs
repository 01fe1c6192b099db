// Cookies as a browser keeps them. Only that `Secure` ones go out over plain http too: there is no TLS here.
export class Jar {
  #cookies = new Map();

  /** Takes what an answer sets and deletes; gives those that it sets, as `{name, value, attributes}`. */
  take(setCookies) {
    const all = setCookies.map(parsed);
    for (const { name, value, attributes } of all) {
      const maxAge = Number(attributes.get('max-age') ?? Infinity);
      if (maxAge > 0) this.#cookies.set(name, { value, expires: Date.now() + maxAge * 1000 });
      else this.#cookies.delete(name);
    }
    return all;
  }

  set(name, value) {
    this.#cookies.set(name, { value, expires: Infinity });
  }

  /** Values of the cookies that are called so. */
  values(prefix) {
    return this.#fresh().filter(([name]) => name.startsWith(prefix)).map(([, { value }]) => value);
  }

  toString() {
    return this.#fresh().map(([name, { value }]) => `${name}=${value}`).join('; ');
  }

  #fresh() {
    return [...this.#cookies].filter(([, { expires }]) => expires > Date.now());
  }
}

function parsed(setCookie) {
  const [pair, ...attributes] = setCookie.split('; ').map((part) => {
    const at = part.indexOf('=');
    return at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
  });
  const lower = attributes.map(([name, value]) => [name.toLowerCase(), value]);
  return { name: pair[0], value: pair[1], attributes: new Map(lower) };
}
