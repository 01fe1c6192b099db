import { request as httpRequest } from 'node:http';

/**
 * One request, to the letter, and its answer: `{status, headers, body}`, headers as a list of pairs. `headers` goes out as
 * it is; a `body` is told its length, or is sent in chunks.
 */
export function exchange(base, { method, target, headers, body, chunked }) {
  const url = new URL(base);
  const has = (wanted) => headers.some(([name]) => name === wanted);
  const all = [...headers];
  if (!has('host')) all.unshift(['host', url.host]);
  if (chunked) all.push(['transfer-encoding', 'chunked']);
  else if (body !== undefined) all.push(['content-length', String(Buffer.byteLength(body))]);
  const options = {
    host: url.hostname,
    port: url.port,
    path: `${url.pathname.replace(/\/$/, '')}${target}`,
    method,
    headers: all.flat(),
    agent: false,
    maxHeaderSize: 256 * 1024,
  };
  return new Promise((resolve, reject) => {
    const sent = httpRequest(options, async (response) => {
      const parts = await response.toArray().catch(reject);
      const pairs = response.rawHeaders.flatMap((text, n, list) => (n % 2 ? [] : [[text.toLowerCase(), list[n + 1]]]));
      resolve({ status: response.statusCode, headers: pairs, body: Buffer.concat(parts ?? []) });
    });
    // an answer may come before the body has been read
    sent.on('error', reject).setTimeout(20_000, () => sent.destroy(new Error('no answer')));
    if (chunked) for (let at = 0; at < body.length; at += CHUNK) sent.write(body.slice(at, at + CHUNK));
    sent.end(chunked ? undefined : body);
  });
}

const CHUNK = 16 * 1024;
