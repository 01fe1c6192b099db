import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { digest } from './support/grant.mjs';

test('the digests of grants that tests seal are those of the known answers', () => {
  const { vectors } = JSON.parse(readFileSync(new URL('../data/sealed-grant.json', import.meta.url)));
  for (const { clientId, secret, keyName, grant } of vectors) {
    const [, head, capabilities, expected] = /^(.*)\.(.*)\.(.*)$/.exec(grant);
    assert.equal(digest(clientId, head, capabilities, Buffer.from(secret, 'base64url'), keyName), expected);
  }
});
