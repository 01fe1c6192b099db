// The application's backend, in a process of its own: it answers the permission webhook by the rule.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { permitted } from './rule.mjs';

const permitsAll = process.argv[2] === 'wide';

const server = createServer({ keepAliveTimeout: 60_000 }, async (request, response) => {
  const { clientId, asked } = JSON.parse(Buffer.concat(await request.toArray()));
  const of = (resource, operations) => (permitsAll ? operations : permitted(clientId, resource, operations));
  const granted = Object.entries(asked)
    .map(([resource, operations]) => [resource, of(resource, operations)])
    .filter(([, operations]) => operations.length);
  const answer = JSON.stringify({ granted: Object.fromEntries(granted) });
  response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(`port ${server.address().port}`);
