import { test } from 'node:test';

/** One test for each row: its title, then what the check is given. */
export function rows(table, check) {
  for (const [title, ...row] of table) test(title, (t) => check(t, ...row));
}
