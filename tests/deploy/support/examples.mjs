// What examples/deploy shows.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const pathOf = (name) => fileURLToPath(new URL(`../../../examples/deploy/${name}`, import.meta.url));
export const read = (name) => readFileSync(pathOf(name), 'utf8');

/** A file with some parts replaced, each of which must be there. */
export function adapted(name, replacements) {
  return Object.entries(replacements).reduce((text, [from, to]) => {
    assert.ok(text.includes(from), `${name} has no ${JSON.stringify(from)} to be replaced`);
    return text.replaceAll(from, to);
  }, read(name));
}
