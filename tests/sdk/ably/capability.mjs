// Capabilities as Ably reads them (docs: auth/capabilities), written apart from accrue's own so that each checks the other.
// Ably's `foo:*` matches `foo` too; accrue's does not.
import { refuse } from './error.mjs';

const OPERATIONS = new Set([
  '*', 'publish', 'subscribe', 'presence', 'history', 'stats', 'channel-metadata', 'push-subscribe', 'push-admin',
  'privileged-headers', 'object-subscribe', 'object-publish', 'annotation-subscribe', 'annotation-publish',
  'message-update-own', 'message-update-any', 'message-delete-own', 'message-delete-any',
]);
const QUALIFIERS = ['', '[meta]', '[queue]', '[*]'];

/** From the JSON text that a token request or a JWT carries. */
export function parse(text) {
  const bad = (why) => refuse(40000, `malformed capability: ${why}`);
  let capability;
  try {
    capability = JSON.parse(text);
  } catch {
    bad('it is not JSON');
  }
  if (typeof capability !== 'object' || capability === null || Array.isArray(capability)) bad('it is not an object');
  if (!Object.keys(capability).length) bad('it is empty');
  for (const [resource, operations] of Object.entries(capability)) {
    if (!QUALIFIERS.includes(split(resource).qualifier)) bad(`an unknown qualifier in ${resource}`);
    if (!/^[^:,\s]/.test(split(resource).name)) bad(`${JSON.stringify(resource)} is not a resource`);
    if (!Array.isArray(operations) || !operations.length) bad(`no list of operations for ${resource}`);
    for (const operation of operations) if (!OPERATIONS.has(operation)) bad(`there is no operation ${operation}`);
    if (operations.includes('*') && operations.length > 1) bad(`* stands beside others for ${resource}`);
  }
  return capability;
}

/** Whether an operation is allowed on a channel: what all matching resources list adds up. */
export function allows(capability, channel, operation) {
  const name = channel.replace(/^\[([^\]?]*)\?[^\]]*\]/, (_, qualifier) => qualifier && `[${qualifier}]`);
  return Object.entries(capability).some(([resource, operations]) =>
    contains(resource, name) && (operations.includes('*') || operations.includes(operation)));
}

/** What is left of a requested capability with a key of this one; null for nothing. */
export function intersect(key, requested) {
  const left = {};
  for (const [mine, mineOperations] of Object.entries(key)) {
    for (const [theirs, theirOperations] of Object.entries(requested)) {
      const narrower = contains(mine, theirs) ? theirs : contains(theirs, mine) ? mine : undefined;
      const operations = commonOperations(mineOperations, theirOperations);
      if (narrower !== undefined && operations.length) {
        left[narrower] = simplify([...(left[narrower] ?? []), ...operations]);
      }
    }
  }
  return Object.keys(left).length ? left : null;
}

/** JSON as Ably gives it back: sorted, without white space. */
export function canonical(capability) {
  const entries = Object.entries(capability).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, operations]) => `${JSON.stringify(name)}:${JSON.stringify([...operations].sort())}`)}}`;
}

function contains(pattern, name) {
  const [outer, inner] = [split(pattern), split(name)];
  if (outer.qualifier !== '[*]' && outer.qualifier !== inner.qualifier) return false;
  const [parts, segments] = [outer.name.split(':'), inner.name.split(':')];
  const open = parts.at(-1) === '*';
  if (open ? segments.length < parts.length - 1 : segments.length !== parts.length) return false;
  const fixed = open ? parts.slice(0, -1) : parts;
  // `*:c` does not contain `*`, which stands for any number of segments
  return fixed.every((part, i) => part === segments[i] || (part === '*' && !(segments[i] === '*' && i === segments.length - 1)));
}

function split(resource) {
  const [, qualifier, name] = /^(\[[^\]]*\])?(.*)$/s.exec(resource);
  return { qualifier: qualifier ?? '', name };
}

const commonOperations = (a, b) => (a.includes('*') ? b : b.includes('*') ? a : a.filter((operation) => b.includes(operation)));
const simplify = (operations) => (operations.includes('*') ? ['*'] : [...new Set(operations)].sort());
