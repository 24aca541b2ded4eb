import { expect, test } from 'vitest';
import { percentile } from './percentile';

test('a percentile is one of the values', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect([50, 95, 99, 100].map((p) => percentile(hundred, p))).toEqual([50, 95, 99, 100]);
  expect([50, 99].map((p) => percentile([7], p))).toEqual([7, 7]);
  expect(percentile([], 50)).toBeNull();
});
