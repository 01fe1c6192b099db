import { once } from 'node:events';
import { createServer } from 'node:http';

/** Starts what stands for the application behind a proxy; gives the port. Whatever is asked, it is the page. */
export async function application(t) {
  const server = createServer((request, response) => response.end(`the page, for ${request.headers.host}`));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return server.address().port;
}

/** Whether an answer is the application's. */
export const isPage = ({ body }) => body.startsWith('the page');
