// A site as a browser sees it: its origin, wherever its server really is. What is asked has what browsers send.
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { connect } from 'node:tls';
import { HOST } from './certificate.mjs';

export class Site {
  #send;

  /** `send` gets a request there: `{method, target, host, headers, cookies, body}`. */
  constructor(origin, send) {
    this.origin = origin;
    this.#send = send;
  }

  /** http://localhost:PORT, or another origin that this port serves. */
  static http(port, origin = `http://localhost:${port}`) {
    return new Site(origin, http1(http, { host: '127.0.0.1', port }));
  }

  static https(port, ca) {
    return new Site(`https://${HOST}`, http1(https, { host: '127.0.0.1', port, servername: HOST, ca }));
  }

  static http2(port, ca) {
    const to = { host: '127.0.0.1', port, servername: HOST, ca, ALPNProtocols: ['h2'] };
    return new Site(`https://${HOST}`, overHttp2(to));
  }

  ask(target, { method = 'GET', headers = {}, cookies = [], json } = {}) {
    const { host } = new URL(this.origin);
    const body = json && JSON.stringify(json);
    const more = body ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {};
    return this.#send({ method, target, host, headers: { ...headers, ...more }, cookies, body });
  }
}

class Answer {
  /** `fields` are pairs of a name and a value, in their order. */
  constructor(status, fields, body) {
    Object.assign(this, { status, fields, body });
  }

  static async read(status, fields, stream) {
    return new Answer(status, fields, Buffer.concat(await stream.toArray()).toString());
  }

  get head() {
    return this.fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  }

  get setCookies() {
    return this.fields.filter(([name]) => name.toLowerCase() === 'set-cookie').map(([, value]) => value);
  }

  /** What it grants, if it is accrue's. */
  get capability() {
    return JSON.parse(JSON.parse(this.body).capability);
  }

  /** The beginning of it, for who has to find out why a test fails. */
  get shown() {
    return `${this.status}\n${this.head.slice(0, 400)}\n${this.body.slice(0, 400)}`;
  }
}

const http1 = ({ request }, to) => async ({ method, target, host, headers, cookies, body }) => {
  const cookie = cookies.length ? { cookie: cookies.join('; ') } : {};
  const sent = request({ ...to, method, path: target, headers: { host, ...headers, ...cookie }, agent: false });
  sent.end(body);
  const [response] = await once(sent, 'response');
  const { rawHeaders: raw } = response;
  const fields = raw.flatMap((name, i) => (i % 2 ? [] : [[name, raw[i + 1]]]));
  return Answer.read(response.statusCode, fields, response);
};

const overHttp2 = (to) => async ({ method, target, host, headers, cookies, body }) => {
  const connection = http2.connect(`https://${host}`, { createConnection: () => connect(to) });
  try {
    const pseudo = { ':method': method, ':path': target, ':authority': host };
    // as browsers do, each cookie is a field of its own
    const cookie = cookies.length ? { cookie: cookies } : {};
    const stream = connection.request({ ...pseudo, ...headers, ...cookie });
    stream.end(body);
    const [response] = await once(stream, 'response');
    const fields = Object.entries(response).flatMap(([name, values]) => [values].flat().map((value) => [name, value]));
    return await Answer.read(response[':status'], fields, stream);
  } finally {
    connection.close();
  }
};
