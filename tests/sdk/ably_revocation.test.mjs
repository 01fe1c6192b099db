// The stand-in for Ably revokes tokens for whoever shows the key, and answers as Ably does.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { KEY, REVOCABLE, basic } from './support/ably_keys.mjs';
import { assertError, revokeTokens } from './support/ably_rest.mjs';
import { jwt } from './support/ably_signed.mjs';
import { rows } from './support/rows.mjs';
import { start, tokens } from './support/stand_in.mjs';
import { HOUR, MINUTE, NOW } from './support/time.mjs';

suite('revokeTokens', () => {
  const targets = (count) => Array.from({ length: count }, (_, i) => `clientId:${i}`);

  suite('requests', () => {
    rows([
      ['as it should be', basic(REVOCABLE), {}, 201],
      ['100 targets', basic(REVOCABLE), { targets: targets(100) }, 201],
      ['101 targets', basic(REVOCABLE), { targets: targets(101) }, 40001, 400],
      ['no target', basic(REVOCABLE), { targets: [] }, 40001, 400],
      ['targets not a list', basic(REVOCABLE), { targets: 'clientId:alice' }, 40001, 400],
      ['targets missing', basic(REVOCABLE), { targets: undefined }, 40001, 400],
      ['a member that there is not', basic(REVOCABLE), { target: 'clientId:alice' }, 40001, 400],
      ['issued before now', basic(REVOCABLE), { issuedBefore: NOW }, 201],
      ['issued before what is to come', basic(REVOCABLE), { issuedBefore: NOW + 1 }, 40003, 400],
      ['issued before an hour ago', basic(REVOCABLE), { issuedBefore: NOW - HOUR }, 201],
      ['issued before more than an hour ago', basic(REVOCABLE), { issuedBefore: NOW - HOUR - 1 }, 40003, 400],
      ['issued before a text', basic(REVOCABLE), { issuedBefore: 'now' }, 40003, 400],
      ['no credentials', {}, {}, 40101, 401],
      ['token authentication', { authorization: `Bearer ${jwt({}, REVOCABLE)}` }, {}, 40162, 401],
      ['another secret', basic('app.revocable:guessed'), {}, 40101, 401],
      ['no secret', basic('app.revocable:'), {}, 40101, 401],
      ['the key of an app that there is not', basic('no.key:secret'), {}, 40400, 404],
      ['another key', basic(KEY), {}, 40133, 401],
      ['another key, with a guessed secret', basic('app.key:guessed'), {}, 40101, 401],
      ['a key without revocable tokens', basic(KEY), {}, 40163, 401, KEY],
    ], async (t, headers, members, code, statusCode, key = REVOCABLE) => {
      const ably = await start(t, { now: () => NOW });
      const body = { targets: ['clientId:alice'], ...members };
      const answer = await revokeTokens(ably, body, headers, key);
      if (code === 201) assert.equal(answer.status, 201);
      else assertError(answer, code, statusCode);
    });

    rows([
      ['no JSON', 'targets', /JSON/],
      ['null', 'null', /targets/],
    ], async (t, body, message) => {
      const ably = await start(t, { now: () => NOW });
      const answer = await revokeTokens(ably, body);
      assertError(answer, 40001, 400);
      assert.match(answer.body.error.message, message);
    });
  });

  suite('answers', () => {
    const results = [
      { target: 'clientId:a:b', issuedBefore: NOW - 1, appliesAt: NOW }, { target: 'channel:room', error: 40000 },
    ];
    const counted = { successCount: 1, failureCount: 1, results };
    rows([
      ['version 3', { 'x-ably-version': '3' }, counted],
      ['version 6', { 'x-ably-version': '6' }, counted],
      ['version 2', { 'x-ably-version': '2' }, results],
      ['no version', {}, results],
    ], async (t, version, expected) => {
      const ably = await start(t, { now: () => NOW });
      const body = { targets: ['clientId:a:b', 'channel:room'], issuedBefore: NOW - 1 };
      const answer = await revokeTokens(ably, body, { ...basic(REVOCABLE), ...version });
      const codes = JSON.parse(JSON.stringify(answer.body), (name, value) => (name === 'error' ? value.code : value));
      assert.deepEqual(codes, expected);
    });
  });

  suite('what is revoked', () => {
    const alice = { 'x-ably-clientId': 'alice' };
    rows([
      ["the client's, of this key, issued before", alice, {}, 40141],
      ['issued at that moment', alice, { issuedBefore: NOW - MINUTE }, 'good'],
      ['issued after it', alice, { issuedBefore: NOW - MINUTE - 1 }, 'good'],
      ['issued just before it', alice, { issuedBefore: NOW - MINUTE + 1 }, 40141],
      ["another client's", { 'x-ably-clientId': 'bob' }, {}, 'good'],
      ["nobody's", {}, {}, 'good'],
      ['of another key', alice, {}, 'good', KEY],
      ['with a margin, within it', alice, { allowReauthMargin: true }, 'good', REVOCABLE, 29_999],
      ['with a margin, after it', alice, { allowReauthMargin: true }, 40141, REVOCABLE, 30_000],
      ['without a margin, by that word', alice, { allowReauthMargin: false }, 40141],
    ], (t, claims, members, code, key = REVOCABLE, later = 0) => {
      const { all, clock } = tokens();
      const token = jwt({ iat: (NOW - MINUTE) / 1000, exp: NOW / 1000 + 600, ...claims }, key);
      all.read(token);
      all.revoke('app.revocable', basic(REVOCABLE).authorization, { targets: ['clientId:alice'], ...members });
      clock.now += later;
      if (code === 'good') all.read(token);
      else assert.throws(() => all.read(token), { code, statusCode: 401 });
    });

    test('an Ably token, and not the next one', () => {
      const { all, clock, issue } = tokens();
      const former = issue({ clientId: 'alice' }, REVOCABLE);
      clock.now += 1;
      all.revoke('app.revocable', basic(REVOCABLE).authorization, { targets: ['clientId:alice'] });
      assert.throws(() => all.read(former), { code: 40141 });
      all.read(issue({ clientId: 'alice' }, REVOCABLE));
    });
  });
});
