import assert from 'node:assert/strict';
import { test } from 'node:test';
import { summary } from './support/service.mjs';

test('accrue accepts accrue.toml, and has no more to note than how long a withdrawn permission can last', (t) => {
  const notes = summary(t).match(/^note: .*/gm);
  assert.equal(notes.length, 1, notes.join('\n'));
  assert.match(notes[0], / after 9h at most/);
});
