import { expect, test } from 'vitest';
import { csv, ndjson } from './export';

test('a spreadsheet gets texts and no formulas', () => {
  expect(csv(['a', 'b'], [['=1+1', -1], ['x"y', 'l1\nl2']])).toBe('a,b\r\n\'=1+1,-1\r\n"x""y","l1\nl2"\r\n');
});

test('a message is one line and its numbers stay', () => {
  const text = ndjson([{ sequence: 1, sent: '2026-01-31T12:00:00Z', labels: ['eu'], body: '{\n "n": 9007199254740993}' }]);
  expect(text.split('\n').length).toBe(2);
  expect(text).toContain('9007199254740993');
  expect(JSON.parse(text)).toMatchObject({ sequence: 1, labels: ['eu'] });
});
