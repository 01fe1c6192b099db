import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** Starts a DNS server (RFC 1035) for which every name is this machine; gives its address. The port has to be 53. */
export async function startNameServer(t) {
  const address = ['127', ...Array.from({ length: 3 }, () => randomInt(1, 255))].join('.');
  const socket = createSocket('udp4');
  socket.on('message', (query, { port, address: client }) => socket.send(reply(query), port, client));
  socket.bind(53, address);
  await once(socket, 'listening');
  t.after(() => socket.close());
  return address;
}

const HEADER = 12;
const [A, IN] = [1, 1];

function reply(query) {
  const end = query.indexOf(0, HEADER) + 5; // of the question: a name that ends with 0, its type and its class
  const isA = query.readUInt16BE(end - 4) === A;
  const header = Buffer.from([query[0], query[1], 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
  const record = Buffer.from([0xc0, HEADER, 0, A, 0, IN, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]); // the question's name; 1 s
  return Buffer.concat([header, query.subarray(HEADER, end), ...(isA ? [record] : [])]);
}
