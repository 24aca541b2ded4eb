import { parse, TYPE, type MessageFormatElement } from '@formatjs/icu-messageformat-parser';
import { expect, test } from 'vitest';
import { messages } from './messages';

function places(elements: MessageFormatElement[]): string[] {
  return elements.flatMap((e) => {
    if (e.type === TYPE.literal || e.type === TYPE.pound) return [];
    if (e.type === TYPE.plural || e.type === TYPE.select) return [e.value, ...Object.values(e.options).flatMap((o) => places(o.value))];
    return 'value' in e ? [e.value] : [];
  });
}

test('both languages have the same places for values', () => {
  for (const [key, [en, fr]] of Object.entries(messages)) {
    expect([key, ...new Set(places(parse(fr)))].sort()).toEqual([key, ...new Set(places(parse(en)))].sort());
    expect(fr.trim(), key).not.toBe('');
  }
});

test('French has French marks', () => {
  for (const [key, [, fr]] of Object.entries(messages)) {
    expect(fr, key).not.toMatch(/[a-zàéèê]'[a-zàéèê]/i);
    expect(fr, key).not.toMatch(/[^\s{][:;?!](\s|$)/u);
  }
});
