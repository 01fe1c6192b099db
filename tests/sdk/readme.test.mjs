import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { README } from './support/readme.mjs';

test('the scenarios that the README names are there', () => {
  const links = [...README.matchAll(/\[([^\]]+)\]\(tests\/sdk\/([\w.]+\.test\.mjs)\)/g)];
  const named = links.filter(([, title]) => title !== 'in Chromium');
  assert.ok(named.length > 20);
  for (const [, title, file] of named) {
    const source = readFileSync(new URL(file, import.meta.url), 'utf8');
    const isTitle = ["'", '"', '`'].some((quote) => source.includes(`(${quote}${title}`));
    assert.ok(isTitle, `${file} has no scenario called ${title}`);
  }
});
