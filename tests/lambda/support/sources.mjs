// What invokes a function for HTTP, as AWS documents each: from a request to an event, and from an answer to a response.
// A request is `{method, target, headers, body}`, headers as a list of pairs; a response `{status, headers, body}`.
import { readFileSync } from 'node:fs';

/** An event as AWS documents it. */
export const event = (name) => JSON.parse(readFileSync(new URL(`../events/${name}.json`, import.meta.url), 'utf8'));

const STAGE = '/prod';
const all = (headers, wanted) => headers.filter(([name]) => name === wanted).map(([, value]) => value);
const grouped = (pairs) => {
  const groups = new Map();
  for (const [name, value] of pairs) groups.set(name, [...(groups.get(name) ?? []), value]);
  return [...groups];
};
const mapped = (pairs, value) => Object.fromEntries(grouped(pairs).map(([name, values]) => [name, value(values)]));
const last = (values) => values.at(-1);
const joined = (values) => values.join(',');
const orNull = (map) => (Object.keys(map).length ? map : null);

function parts({ target }) {
  const [path, ...query] = target.split('?');
  const rawQuery = query.join('?');
  return { path, rawQuery, query: [...new URLSearchParams(rawQuery)] };
}

/** What is no text travels in base64. */
const TEXTS = /^(text\/|application\/(json|javascript|xml))/i;
function bodyOf({ headers, body }) {
  const isText = TEXTS.test(last(all(headers, 'content-type')) ?? '') && !all(headers, 'content-encoding').length;
  return { body: body.toString(isText ? 'utf8' : 'base64'), isBase64Encoded: !isText };
}

/** Headers of the client's, with those that its source adds. */
function withAdded(request, { headers, multiValueHeaders }) {
  const clients = request.headers.map(([name]) => name);
  const isAdded = ([name]) => /^x-(amzn|forwarded)/i.test(name) && !clients.includes(name.toLowerCase());
  const added = Object.entries(headers ?? multiValueHeaders).filter(isAdded);
  return [...request.headers, ...added.map(([name, value]) => [name, [value].flat()[0]])];
}

const payload2 = (name, { stage, keepsCookieHeader }) => ({
  prefix: stage,
  event(request) {
    const document = event(name);
    const { path, rawQuery, query } = parts(request);
    const cookies = all(request.headers, 'cookie').flatMap((value) => value.split(/; */)).filter(Boolean);
    const headers = withAdded(request, document).filter(([one]) => keepsCookieHeader || one !== 'cookie');
    const decoded = decodeURIComponent(path);
    Object.assign(document, {
      rawPath: decoded,
      rawQueryString: rawQuery,
      cookies,
      headers: mapped(headers, joined),
      queryStringParameters: mapped(query, joined),
      ...(request.body.length && bodyOf(request)),
    });
    if (!cookies.length) delete document.cookies;
    if (!query.length) delete document.queryStringParameters;
    Object.assign(document.requestContext.http, { method: request.method, path: decoded });
    return document;
  },
  response: ({ statusCode, headers = {}, cookies = [], body = '', isBase64Encoded = false, ...others }) => ({
    others,
    status: statusCode,
    headers: [...Object.entries(headers), ...cookies.map((cookie) => ['set-cookie', cookie])],
    body: Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8'),
  }),
});

const lists = ({ statusCode, headers = {}, multiValueHeaders = {}, body = '', isBase64Encoded = false, ...others }) => ({
  others,
  status: statusCode,
  headers: [
    ...Object.entries(headers).filter(([name]) => !(name in multiValueHeaders)),
    ...Object.entries(multiValueHeaders).flatMap(([name, values]) => values.map((value) => [name, value])),
  ],
  body: Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8'),
});

const payload1 = (name, { stage, inPath }) => ({
  prefix: stage,
  event(request) {
    const document = event(name);
    const { path, query } = parts(request);
    const headers = withAdded(request, document);
    const decoded = decodeURIComponent(path);
    Object.assign(document, {
      httpMethod: request.method,
      path: inPath ? decoded : decoded.slice(stage.length),
      headers: mapped(headers, last),
      multiValueHeaders: mapped(headers, (values) => values),
      queryStringParameters: orNull(mapped(query, last)),
      multiValueQueryStringParameters: orNull(mapped(query, (values) => values)),
      ...(request.body.length ? bodyOf(request) : { body: null }),
    });
    if (document.pathParameters) document.pathParameters.proxy = decoded.slice(stage.length + 1);
    Object.assign(document.requestContext, { httpMethod: request.method, path: decoded });
    return document;
  },
  response: lists,
});

const loadBalancer = (name, { headersMember, queryMember, value, response }) => ({
  prefix: '',
  event(request) {
    const { path, rawQuery } = parts(request);
    const document = event(name);
    const pairs = rawQuery.split('&').filter(Boolean).map((pair) => {
      const [left, ...right] = pair.split('=');
      return [left, right.join('=')];
    });
    return Object.assign(document, {
      httpMethod: request.method,
      path,
      [queryMember]: mapped(pairs, value),
      [headersMember]: mapped(withAdded(request, document), value),
      ...(request.body.length ? bodyOf(request) : { body: '', isBase64Encoded: false }),
    });
  },
  response,
});

/** Each `{prefix, event(request), response(answer)}`; `others` in a response is what it does not take. */
export const SOURCES = {
  function_url: payload2('function_url', { stage: '', keepsCookieHeader: true }),
  http_api: payload2('http_api', { stage: STAGE }),
  http_api_1: payload1('http_api_1', { stage: STAGE, inPath: true }),
  rest_api: payload1('rest_api', { stage: STAGE, inPath: false }),
  load_balancer: loadBalancer('load_balancer', {
    headersMember: 'headers',
    queryMember: 'queryStringParameters',
    value: last,
    // names that differ in their letters' case go out as they are
    response: ({ statusCode, headers, body = '', isBase64Encoded = false, ...others }) =>
      lists({ statusCode, headers, body, isBase64Encoded, ...others }),
  }),
  load_balancer_multi: loadBalancer('load_balancer_multi', {
    headersMember: 'multiValueHeaders',
    queryMember: 'multiValueQueryStringParameters',
    value: (values) => values,
    response: ({ statusCode, multiValueHeaders, body = '', isBase64Encoded = false, ...others }) =>
      lists({ statusCode, multiValueHeaders, body, isBase64Encoded, ...others }),
  }),
};
