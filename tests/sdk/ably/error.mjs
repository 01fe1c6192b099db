/** An error of Ably's: the shape of its REST bodies, and of the `error` in its protocol messages. */
export class AblyError extends Error {
  constructor(code, message, statusCode = Math.floor(code / 100)) {
    super(message);
    Object.assign(this, { code, statusCode });
  }

  /** What is said of anything that went wrong: input that nobody had thought of is malformed. */
  static of(error) {
    return error instanceof AblyError ? error : new AblyError(40000, `malformed: ${error.message}`);
  }

  toJSON() {
    const { code, statusCode, message } = this;
    return { code, statusCode, message, href: `https://help.ably.io/error/${code}` };
  }
}

/** Throws one. */
export function refuse(...error) {
  throw new AblyError(...error);
}
