import { session } from './session.mjs';

/**
 * A client without a cookie jar: its `authCallback` carries what it holds in `Accrue-Grant`. Tests look at what came
 * back, and may change what it holds and whose session it has.
 */
export class HeaderClient {
  grant = 'none';
  answers = [];

  constructor(accrue, clientId) {
    this.url = `${accrue.url}/auth`;
    this.session = session(clientId);
  }

  authCallback = async (params, done) => {
    try {
      const who = { authorization: `Bearer ${this.session}`, 'accrue-grant': this.grant };
      const headers = { 'content-type': 'application/json', ...who };
      const response = await fetch(this.url, { method: 'POST', headers, body: JSON.stringify(params) });
      this.grant = response.headers.get('accrue-grant') ?? this.grant;
      const body = await response.json();
      this.answers.push({ status: response.status, headers: response.headers, body });
      if (response.ok) return done(null, body);
      return done(Object.assign(new Error(body.error.message), body.error), null);
    } catch (error) {
      return done(error, null);
    }
  };

  /** What the last answer did not grant, and why. */
  get refused() {
    return JSON.parse(this.answers.at(-1).headers.get('accrue-refused'));
  }
}
