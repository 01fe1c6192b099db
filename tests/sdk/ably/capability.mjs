// Capabilities as Ably reads them (docs: auth/capabilities), written apart from accrue's own so that each checks the
// other. Two readings differ on purpose: Ably's `foo:*` matches `foo` too, and Ably grants what two crossing resources
// have in common (`a:*:c` and `*:b:c`: `a:b:c`).
import { refuse } from './error.mjs';

const OPERATIONS = new Set([
  '*', 'publish', 'subscribe', 'presence', 'history', 'stats', 'channel-metadata', 'push-subscribe', 'push-admin',
  'privileged-headers', 'object-subscribe', 'object-publish', 'annotation-subscribe', 'annotation-publish',
  'message-update-own', 'message-update-any', 'message-delete-own', 'message-delete-any',
]);
const QUALIFIERS = ['', '[meta]', '[queue]', '[*]'];

/** What a key may do unless it says otherwise, and what is asked of it where nothing is said. */
export const EVERYTHING = '{"[*]*":["*"]}';

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
    const { qualifier, name } = split(resource);
    if (!QUALIFIERS.includes(qualifier)) bad(`an unknown qualifier in ${resource}`);
    if (!/^[^[:,\s].*$/.test(name)) bad(`${JSON.stringify(resource)} is not a resource`);
    if (!Array.isArray(operations) || !operations.length) bad(`no list of operations for ${resource}`);
    for (const operation of operations) if (!OPERATIONS.has(operation)) bad(`there is no operation ${operation}`);
    if (operations.includes('*') && operations.length > 1) bad(`* stands beside others for ${resource}`);
  }
  return capability;
}

/** Whether an operation is allowed on a channel: what all matching resources list adds up. */
export function allows(capability, channel, operation) {
  // `[?rewind=1]name` and `[meta?rewind=1]name` carry parameters, which are no part of the name
  const name = channel.replace(/^\[([^\]?]*)\?[^\]]*\]/, (_, qualifier) => qualifier && `[${qualifier}]`);
  return Object.entries(capability).some(([resource, operations]) =>
    matches(resource, name) && (operations.includes('*') || operations.includes(operation)));
}

/** What is left of a requested capability with a key of this one; null for nothing. */
export function intersect(key, requested) {
  const left = new Map();
  for (const [mine, myOperations] of Object.entries(key)) {
    for (const [theirs, theirOperations] of Object.entries(requested)) {
      const resource = commonResource(mine, theirs);
      const operations = commonOperations(myOperations, theirOperations);
      if (resource !== undefined && operations.length) {
        left.set(resource, simplify([...(left.get(resource) ?? []), ...operations]));
      }
    }
  }
  return left.size ? Object.fromEntries(left) : null;
}

/** JSON as Ably gives it back: sorted, without white space. */
export function canonical(capability) {
  // member by member: an object would put names that look like integers first
  const members = Object.keys(capability).sort().map((resource) =>
    `${JSON.stringify(resource)}:${JSON.stringify([...capability[resource]].sort())}`);
  return `{${members}}`;
}

/** A last `*` stands for any number of segments, none included; elsewhere it stands for one. */
function matches(resource, channel) {
  const [pattern, { qualifier, segments }] = [split(resource), split(channel)];
  if (pattern.qualifier !== '[*]' && pattern.qualifier !== qualifier) return false;
  const open = pattern.segments.at(-1) === '*';
  const fixed = open ? pattern.segments.slice(0, -1) : pattern.segments;
  if (open ? segments.length < fixed.length : segments.length !== fixed.length) return false;
  return fixed.every((segment, i) => segment === '*' || segment === segments[i]);
}

/** The narrower in each segment. Of unequal lengths, only a last `*` reaches over the rest of the longer. */
function commonResource(a, b) {
  const [one, other] = [split(a), split(b)];
  const [short, long] = [one.segments, other.segments].sort((x, y) => x.length - y.length);
  if (short.length < long.length && short.at(-1) !== '*') return undefined;
  const qualifier = narrower('[*]', one.qualifier, other.qualifier);
  const segments = long.map((segment, i) => narrower('*', short[i] ?? '*', segment));
  return [qualifier, ...segments].includes(undefined) ? undefined : qualifier + segments.join(':');
}

function split(resource) {
  const [, qualifier = '', name] = /^(\[[^\]]*\])?(.*)$/s.exec(resource);
  return { qualifier, name, segments: name.split(':') };
}

const narrower = (any, a, b) => (a === any ? b : b === any || a === b ? a : undefined);
const commonOperations = (a, b) => (a.includes('*') ? b : b.includes('*') ? a : a.filter((one) => b.includes(one)));
const simplify = (operations) => (operations.includes('*') ? ['*'] : [...new Set(operations)].sort());
