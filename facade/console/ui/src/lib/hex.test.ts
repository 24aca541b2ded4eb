import { expect, test } from 'vitest';
import { hexRows } from './hex';

test('bytes are shown in rows of 16', () => {
  const rows = hexRows(new TextEncoder().encode('{"name":"été"} <>\u0000'));
  expect(rows).toEqual([
    { offset: '00000000', bytes: '7b 22 6e 61 6d 65 22 3a  22 c3 a9 74 c3 a9 22 7d', text: '{"name":"..t.."}' },
    { offset: '00000010', bytes: '20 3c 3e 00'.padEnd(23) + '  ' + ''.padEnd(23), text: ' <>.' },
  ]);
  expect(hexRows(new Uint8Array())).toEqual([]);
});
