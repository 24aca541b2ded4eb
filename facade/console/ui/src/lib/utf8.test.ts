import { expect, test } from 'vitest';
import { firstBad } from './utf8';

test('the first byte that is no UTF-8 is found', () => {
  const bad = (...bytes: number[]) => firstBad(new Uint8Array(bytes));
  expect(firstBad(new TextEncoder().encode('été 😀 "x"'))).toBeUndefined();
  expect(bad()).toBeUndefined();
  expect(bad(0x22, 0xff, 0xfe, 0x22)).toBe(1);
  expect(bad(0x61, 0xc3, 0x28)).toBe(2); // where the second half should be
  expect(bad(0x61, 0xc3)).toBe(2); // where it ends
  expect(bad(0xed, 0xa0, 0x80)).toBe(1); // half of a pair
  expect(bad(0xc0, 0x80)).toBe(0); // longer than it needs to be
});
