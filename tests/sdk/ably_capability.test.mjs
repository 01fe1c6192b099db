// The stand-in for Ably: what a capability allows, what two have in common, and what is none.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { allows, canonical, intersect, parse } from './ably/capability.mjs';
import { known } from './support/known.mjs';
import { rows } from './support/rows.mjs';

suite('capabilities', () => {
  const { cases, intersections, validity } = known('capability-match');

  suite('an operation on a channel', () => {
    assert.equal(cases.length, 56);
    rows(cases.map((one) => [`${one.id} ${JSON.stringify(one.capability)} ${one.channel} ${one.operation}`, one]),
      (t, one) => assert.equal(allows(one.capability, one.channel, one.operation), one.allowed));

    rows([
      ['a * at the end may be nothing', 'a:*', 'a', true],
      ['a * elsewhere may not', 'a:*:*', 'a', false],
      ['a * at the end of a longer one may be nothing', 'a:*:*', 'a:b', true],
      ['parameters are no part of the name', 'room', '[?rewind=1]room', true],
      ['parameters do not hide another name', 'room', '[?rewind=1]other', false],
      ['parameters do not hide a qualifier', 'log', '[meta?rewind=1]log', false],
      ['a qualifier with parameters', '[meta]log', '[meta?rewind=1]log', true],
    ], (t, resource, channel, expected) => assert.equal(allows({ [resource]: ['*'] }, channel, 'publish'), expected));
  });

  suite('what is left of a request with a key', () => {
    assert.equal(intersections.length, 16);
    rows(intersections.map((one) => [one.id, one]), (t, { keyCapability, requested, result }) => {
      const asked = requested ?? { '[*]*': ['*'] };
      const inOrder = (capability) => capability && canonical(capability);
      assert.equal(inOrder(intersect(keyCapability, asked)), inOrder(result));
      assert.equal(inOrder(intersect(asked, keyCapability)), inOrder(result));
    });

    rows([
      ['crossing resources', 'a:*:c', '*:b:c', 'a:b:c'],
      ['crossing resources, one open', 'a:*', '*:b', 'a:b'],
      ['crossing resources, both open', 'a:*', '*:b:*', 'a:b:*'],
      ['crossing qualifiers', '[*]log', '[meta]*', '[meta]log'],
      ['other qualifiers', 'log', '[meta]*', null],
      ['unequal lengths, the shorter not open', 'a:*', 'a', null],
    ], (t, one, other, expected) => {
      const result = expected && { [expected]: ['publish'] };
      assert.deepEqual(intersect({ [one]: ['*'] }, { [other]: ['publish'] }), result);
      assert.deepEqual(intersect({ [other]: ['publish'] }, { [one]: ['*'] }), result);
    });

    rows([
      ['add up', { 'room:*': ['publish'], '*': ['subscribe'] }, ['publish', 'subscribe']],
      ['are no more than all', { 'room:*': ['publish'], '*': ['*'] }, ['*']],
      ['are there once', { 'room:*': ['publish'], '*': ['publish'] }, ['publish']],
    ].map(([title, ...row]) => [`operations by several resources ${title}`, ...row]), (t, key, operations) => {
      assert.deepEqual(intersect(key, { 'room:1': ['*'] }), { 'room:1': operations });
    });

    test('never more than both allow; less only where a last * would be nothing', () => {
      const names = ['a', 'b', 'a:a', 'a:b', 'b:b', 'a:b:a', '[meta]a', '[meta]a:b'];
      const segments = ['a', 'b', '*', 'a:b', 'a:*', '*:b', '*:*', 'b:*', 'a:*:a', 'a:b:*', '*:b:a'];
      const resources = segments.flatMap((one) => [one, `[meta]${one}`, `[*]${one}`]);
      let allowed = 0;
      for (const one of resources) {
        for (const other of resources) {
          const left = intersect({ [one]: ['*'] }, { [other]: ['*'] }) ?? {};
          for (const name of names) {
            const byBoth = [one, other].every((resource) => allows({ [resource]: ['*'] }, name, 'publish'));
            const length = name.split(':').length;
            const nothing = [one, other].some((resource) => resource.split(':').length === length + 1);
            const byLeft = allows(left, name, 'publish');
            if (byLeft || !nothing) assert.equal(byLeft, byBoth, `${one} and ${other}: ${name}`);
            allowed += byLeft;
          }
        }
      }
      assert.ok(allowed > 100);
    });
  });

  suite('what is a capability, and what is malformed', () => {
    assert.equal(validity.length, 5);
    rows([
      ...validity.map(({ capability, valid }) => [JSON.stringify(capability), valid]),
      ['{"[*]*":["*"],"[meta]log":["subscribe"],"[queue]q":["subscribe"]}', true],
      ['{"room::$chat":["subscribe"],"日本語 部屋":["publish"],"a*":["history"]}', true],
      ['', false],
      ['nonsense', false],
      ['null', false],
      ['"room"', false],
      ['[]', false],
      ['[["publish"]]', false],
      ['{}', false],
      ['{"room":"publish"}', false],
      ['{"room":"*"}', false],
      ['{"room":{"publish":true}}', false],
      ['{"room":["publish",["subscribe"]]}', false],
      ['{"room":["publish"],"other":[]}', false],
      ['{"room":["Publish"]}', false],
      ['{"[mata]log":["subscribe"]}', false],
      ['{"[?rewind=1]room":["subscribe"]}', false],
      ['{"[meta":["subscribe"]}', false],
      ['{"[meta]":["subscribe"]}', false],
      ['{"[meta][meta]log":["subscribe"]}', false],
      ['{"":["subscribe"]}', false],
      ['{":room":["subscribe"]}', false],
      ['{",room":["subscribe"]}', false],
      ['{" room":["subscribe"]}', false],
      ['{"a\\nb":["subscribe"]}', false],
      ['{"a\\u2028b":["subscribe"]}', false],
    ].map(([text, valid]) => [text || 'nothing', text, valid]), (t, text, valid) => {
      if (valid) assert.deepEqual(parse(text), JSON.parse(text));
      else assert.throws(() => parse(text), { code: 40000, statusCode: 400 });
    });
  });
});
