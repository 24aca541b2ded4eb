import { expect, test } from 'vitest';
import { queueName, suggest } from './names';

test('a suggested name can be used', () => {
  for (const r of [0, 0.5, 0.9999999]) expect(suggest('queue', () => r)).toMatch(queueName);
});

test('names have 1 to 64 letters, digits, dashes and underscores', () => {
  expect(queueName.test('a'.repeat(64))).toBe(true);
  for (const bad of ['', 'a'.repeat(65), 'a b', 'é', 'a/b']) expect(queueName.test(bad)).toBe(false);
});
