import { expect, test } from 'vitest';
import { ago, bytes, count, duration, moment, short } from './format';

test('numbers follow the language', () => {
  expect(count(1234567.25, 'en')).toBe('1,234,567.3');
  expect(count(1234567, 'fr')).toBe('1\u202f234\u202f567');
  expect(short(12345, 'en')).toBe('12.3K');
  expect(short(9999, 'en')).toBe('9,999');
});

test('what is not known is not zero', () => {
  for (const f of [count, short, bytes, duration]) expect(f(null, 'en')).toBe('–');
  expect(moment(undefined, 'en', 'utc')).toBe('–');
});

test('sizes', () => {
  expect(bytes(512 * 1024, 'en')).toBe('512\u202fKiB');
  expect(bytes(1536, 'fr')).toBe('1,5\u202fKio');
  expect(bytes(10, 'en')).toBe('10\u202fB');
});

test('durations have two units at most', () => {
  expect(duration(131, 'en')).toBe('2\u202fmin 11\u202fs');
  expect(duration(90000, 'fr')).toBe('1\u202fj 1\u202fh');
  expect(duration(0.2, 'en')).toBe('0\u202fs');
  expect(duration(3600, 'en')).toBe('1\u202fh');
});

test('times are absolute or relative', () => {
  expect(moment(0, 'en', 'utc')).toBe('1 Jan 1970, 00:00:00 UTC');
  expect(ago(0, 'en', 120_000)).toBe('2 minutes ago');
  expect(ago(0, 'fr', 7200_000)).toBe('il y a 2 heures');
});
