import { expect, test } from 'vitest';
import { oneLine, pieces } from './visible';

test('what cannot be seen is named', () => {
  expect(pieces('a\u001b[31m\u202eb\u0000').map((p) => p.name ?? p.text)).toEqual(['a', 'ESC', '[31m', 'RLO', 'b', 'NUL']);
  expect(pieces('\ufeff\u2028\u0085\u0007').map((p) => p.name)).toEqual(['BOM', 'LSEP', 'NEL', 'BEL']);
});

test('halves of a pair are named and whole pairs are not', () => {
  expect(pieces('😀')).toEqual([{ text: '😀' }]);
  expect(pieces('a\ud83d').map((p) => p.name)).toEqual([undefined, 'U+D83D']);
});

test('lines and markup stay text', () => {
  expect(pieces('a\n\tb <script>')).toEqual([{ text: 'a\n\tb <script>' }]);
  expect(pieces('')).toEqual([{ text: '' }]);
});

test('nothing is lost', () => {
  const text = Array.from({ length: 0x2100 }, (_, i) => String.fromCharCode(i)).join('');
  expect(pieces(text).map((p) => p.text).join('')).toBe(text);
});

test('a row has one line', () => {
  expect(oneLine('{\n  "a": 1\n}', 80)).toBe('{ "a": 1 }');
  expect(oneLine('x'.repeat(100), 10)).toBe('x'.repeat(10) + '…');
});
