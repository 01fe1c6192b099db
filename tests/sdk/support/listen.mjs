import { once } from 'node:events';

/** Has a server of ours, of http or https, listen on this machine until the test ends; gives the port. */
export async function listen(t, server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return server.address().port;
}
