// What the backend permits. The model of the clients knows it too, and expects nothing else.

/** Of a room, by its number and the client's, so that what is one client's is not another's. */
function permittedIn(room, clientNumber) {
  const both = room + clientNumber;
  return [both % 3 === 0 && 'publish', both % 5 !== 0 && 'subscribe'].filter(Boolean);
}

export const roomName = (number) => `room:${number}`;
export const clientName = (number, life) => `client-${number}-${life}`;

/** The operations that are asked for and permitted. */
export function permitted(clientId, resource, operations) {
  const [, clientNumber] = /^client-(\d+)-\d+$/.exec(clientId);
  const room = /^room:(\d+)$/.exec(resource)?.[1];
  const may = room === undefined ? [] : permittedIn(Number(room), Number(clientNumber));
  return operations.filter((operation) => may.includes(operation));
}
