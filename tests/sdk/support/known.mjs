import { readFileSync } from 'node:fs';

/** What is known of Ably and its SDKs: a file of `tests/data`. */
export const known = (name) => JSON.parse(readFileSync(new URL(`../../data/${name}.json`, import.meta.url)));
