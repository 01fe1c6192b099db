import { once } from 'node:events';
import { createServer } from 'node:http';

/** A server on this machine that answers with `reply(request, response)`. `calls` are the requests it had. */
export async function backend(t, reply) {
  const calls = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    calls.push({ url: request.url, headers: request.headers, body });
    reply(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, calls };
}

export const json = (response, value, headers = {}) =>
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
