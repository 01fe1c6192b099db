// The same endpoint as somebody would write it with Express: a signed cookie keeps what a client was granted.
// It listens on 127.0.0.1:$PORT.
import { createHmac, timingSafeEqual } from 'node:crypto';
import Ably from 'ably';
import cookieParser from 'cookie-parser';
import express from 'express';

const { ABLY_API_KEY, COOKIE_SECRET, PORT, PROXY_SECRET } = process.env;
const COOKIE = '__Host-granted';
const COOKIE_OPTIONS = { path: '/', secure: true, httpOnly: true, sameSite: 'strict', maxAge: 16 * 60 * 60 * 1000 };
const TTL = 60 * 60 * 1000;

const ably = new Ably.Rest({ key: ABLY_API_KEY });
const proxySecret = Buffer.from(PROXY_SECRET);
const app = express();
// an answer that is never the same twice needs no ETag
app.disable('etag').disable('x-powered-by').use(cookieParser());

app.get('/auth', async (req, res) => {
  const clientId = authenticate(req);
  if (!clientId) return refuse(res, 401, 40100, 'not authenticated');
  const capability = held(req.cookies[COOKIE], clientId);
  if (req.query.capability) {
    const wish = parse(req.query.capability);
    if (!wish) return refuse(res, 400, 40000, 'capability is malformed');
    for (const [resource, operations] of Object.entries(wish)) {
      const granted = permitted(resource, operations);
      if (granted.length > 0) capability[resource] = [...new Set([...(capability[resource] ?? []), ...granted])];
    }
  }
  if (Object.keys(capability).length === 0) return refuse(res, 401, 40160, 'nothing is permitted');

  const token = await ably.auth.createTokenRequest({ clientId, capability, ttl: TTL });
  res.cookie(COOKIE, sealed(`${clientId}:${JSON.stringify(capability)}`), COOKIE_OPTIONS);
  res.set('cache-control', 'no-store').json(token);
});

function authenticate(req) {
  const secret = Buffer.from(req.get('x-proxy-secret') ?? '');
  const isProxy = secret.length === proxySecret.length && timingSafeEqual(secret, proxySecret);
  return isProxy ? req.get('x-client-id') : undefined;
}

// A cookie is worth nothing to another client, nor changed.
function held(cookie, clientId) {
  const end = cookie?.lastIndexOf('.') ?? -1;
  if (end < 0) return {};
  const text = cookie.slice(0, end);
  const expected = Buffer.from(digest(text));
  const received = Buffer.from(cookie.slice(end + 1));
  const isOurs = received.length === expected.length && timingSafeEqual(received, expected);
  return isOurs && text.startsWith(`${clientId}:`) ? (parse(text.slice(clientId.length + 1)) ?? {}) : {};
}

function sealed(text) {
  return `${text}.${digest(text)}`;
}

function digest(text) {
  return createHmac('sha256', COOKIE_SECRET).update(text).digest('base64url');
}

function parse(text) {
  try {
    const capability = JSON.parse(text);
    return Object.values(capability).every(Array.isArray) ? capability : undefined;
  } catch {
    return undefined;
  }
}

// "chat:*" = ["subscribe", "publish"]
function permitted(resource, operations) {
  if (!resource.startsWith('chat:') || resource === 'chat:') return [];
  return operations.filter((operation) => operation === 'subscribe' || operation === 'publish');
}

function refuse(res, statusCode, code, message) {
  res.status(statusCode).json({ error: { code, statusCode, message } });
}

app.listen(PORT, '127.0.0.1');
