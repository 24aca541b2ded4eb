import { expect, test } from 'vitest';
import { diff } from './diff';

const short = (before: string, after: string) => diff(before, after).map((d) => ({ same: ' ', gone: '-', new: '+' })[d.kind] + d.text);

test('what is the same, gone and new is told line by line', () => {
  expect(short('a\nb\nc\nd', 'a\nx\nc\nd\ne')).toEqual([' a', '-b', '+x', ' c', ' d', '+e']);
  expect(short('a', 'a')).toEqual([' a']);
  expect(short('', 'a')).toEqual(['-', '+a']);
  expect(short('a\nb', 'b\na').filter((l) => l[0] === ' ').length).toBe(1);
});

test('both texts can be made of it', () => {
  const [before, after] = ['{\n  "a": 1,\n  "b": [\n    1\n  ]\n}', '{\n  "b": [\n    1,\n    2\n  ],\n  "a": 1\n}'];
  const found = diff(before, after);
  expect(found.filter((d) => d.kind !== 'new').map((d) => d.text).join('\n')).toBe(before);
  expect(found.filter((d) => d.kind !== 'gone').map((d) => d.text).join('\n')).toBe(after);
});

test('texts that are too long are shown whole', () => {
  const long = (c: string) => Array.from({ length: 3000 }, (_, i) => c + i).join('\n');
  expect(diff(long('a'), long('b')).length).toBe(6000);
});
