// What accrue's permission webhook asks, answered with Express.
//
//     npm ci && WEBHOOK_BEARER=TOKEN node server.mjs
//
// In accrue.toml, under [permission.webhook]: url = "http://127.0.0.1:3000/ably/permissions", bearer = "TOKEN".
import { createHash, timingSafeEqual } from 'node:crypto';
import express from 'express';

const { PORT = 3000, WEBHOOK_BEARER } = process.env;
if (!WEBHOOK_BEARER) throw new Error('WEBHOOK_BEARER is not set');
const digest = (text) => createHash('sha256').update(text).digest(); // timingSafeEqual takes equal lengths only
const AUTHORIZATION = digest(`Bearer ${WEBHOOK_BEARER}`);
const ROOMS = new Map([['alice', ['chat:1', 'chat:2']], ['bob', ['chat:1']]]);
const OPERATIONS = ['subscribe', 'publish', 'presence', 'history'];
const BARRED = ['mallory'];

// Whole names are compared, so that who asks for chat:* gets it only where it is listed; * likewise.
function answer(clientId, asked) {
  if (BARRED.includes(clientId)) return { barred: true };
  const rooms = ROOMS.get(clientId) ?? [];
  if (asked === null) return { granted: Object.fromEntries(rooms.map((room) => [room, OPERATIONS])) };
  const granted = rooms
    .filter((room) => Object.hasOwn(asked, room))
    .map((room) => [room, asked[room].filter((one) => OPERATIONS.includes(one))]);
  return { granted: Object.fromEntries(granted.filter(([, operations]) => operations.length > 0)) };
}

function authorize(request, response, next) {
  if (timingSafeEqual(digest(request.get('authorization') ?? ''), AUTHORIZATION)) next();
  else response.sendStatus(401);
}

const app = express();
const body = express.json({ limit: '1mb', type: () => true }); // what a client holds can exceed the usual 100 kB
app.post('/ably/permissions', authorize, body, (request, response) => {
  const { clientId, asked } = request.body ?? {};
  if (typeof clientId !== 'string' || typeof asked !== 'object' || Array.isArray(asked)) response.sendStatus(400);
  else response.json(answer(clientId, asked));
});

const server = app.listen(PORT, '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
