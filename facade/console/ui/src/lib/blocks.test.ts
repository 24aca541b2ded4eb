import { expect, test } from 'vitest';
import { blocks } from './blocks';

test('the parts are the text, whatever it is made of', () => {
  for (const text of ['', 'a', 'x'.repeat(100_000), 'line\n'.repeat(9000), '😀'.repeat(20_000), 'a' + '😀'.repeat(20_000)]) {
    const parts = blocks(text);
    expect(parts.join('')).toBe(text);
    for (const p of parts) expect(p.length).toBeLessThanOrEqual(8192);
  }
});

test('lines and pairs stay whole', () => {
  for (const p of blocks('line\n'.repeat(9000))) expect(p.endsWith('\n')).toBe(true);
  for (const p of blocks('a' + '😀'.repeat(20_000))) expect(p).not.toMatch(/^[\udc00-\udfff]|[\ud800-\udbff]$/);
});
