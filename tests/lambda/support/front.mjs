// What stands before a function: takes HTTP, and has the function answer events.
import { createServer } from 'node:http';
import { listen } from '../../sdk/support/listen.mjs';
import { SOURCES } from './sources.mjs';

/** Serves what a function answers at the `url` that this gives. */
export async function front(t, api, source) {
  const { prefix, event, response } = SOURCES[source];
  const server = createServer({ maxHeaderSize: 256 * 1024 }, async (request, answer) => {
    const headers = request.rawHeaders.flatMap((name, n, list) => (n % 2 ? [] : [[name.toLowerCase(), list[n + 1]]]));
    const body = Buffer.concat(await request.toArray());
    const sent = { method: request.method, target: request.url, headers: asHttp2(headers), body };
    const invoked = await api.invoke(event(sent));
    const told = invoked.answer && response(invoked.answer);
    // AWS says 502 for an error, and for an answer of another shape
    if (!told || Object.keys(told.others).length) return answer.writeHead(502).end();
    answer.sendDate = false;
    return answer.writeHead(told.status, told.headers.flat()).end(told.body);
  });
  server.maxHeadersCount = 0;
  return { url: `http://127.0.0.1:${await listen(t, server)}${prefix}` };
}

/** Neither how a body was framed nor what was about the connection gets that far. */
const asHttp2 = (headers) => headers.filter(([name]) => !['connection', 'transfer-encoding'].includes(name));
