// The README's code, run as it is written.
import { readFileSync } from 'node:fs';

export const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

/** The one code block in this language that contains this text. */
export function block(language, text) {
  const all = README.split(`\`\`\`${language}\n`).slice(1).map((rest) => rest.split('```')[0]);
  const blocks = all.filter((code) => code.includes(text));
  if (blocks.length !== 1) throw new Error(`${blocks.length} blocks of ${language} in the README contain ${text}`);
  return blocks[0];
}

/** One of JavaScript as a function: its free names are the parameters, its result what the expression says. */
export function snippet(text, parameters, result) {
  return new Function(...parameters, `${block('js', text)}\nreturn ${result};`);
}
