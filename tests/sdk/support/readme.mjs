// The README's JavaScript, run as it is written.
import { readFileSync } from 'node:fs';

export const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

/** The one code block that contains this text. */
export function block(text) {
  const blocks = README.split('```js\n').slice(1).map((rest) => rest.split('```')[0]).filter((block) => block.includes(text));
  if (blocks.length !== 1) throw new Error(`${blocks.length} blocks of JavaScript in the README contain ${text}`);
  return blocks[0];
}

/** The same as a function: its free names are the parameters, and it gives what `results`, an expression, says. */
export function snippet(text, parameters, results) {
  return new Function(...parameters, `${block(text)}\nreturn ${results};`);
}
