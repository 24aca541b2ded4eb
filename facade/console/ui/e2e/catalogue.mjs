// The sentences of the console as they stand in its sources, to look for them on pages.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '..', 'src', 'i18n');
const line = /^ {2}'([a-z0-9]+\.[A-Za-z0-9_]+)': \[(['"])(.*?)\2, (['"])(.*?)\4\],$/;

/** sentences are all there are, each with its key, in English and in French. */
export const sentences = readdirSync(folder)
  .filter((f) => f.endsWith('.ts') && !f.endsWith('.test.ts'))
  .flatMap((f) => readFileSync(join(folder, f), 'utf8').split('\n'))
  .map((l) => line.exec(l))
  .filter(Boolean)
  .map(([, key, , en, , fr]) => ({ key, en, fr }));

const words = (text) => text.replace(/\{[^{}]*\{|\{\w+\}|[{}#]|\b(plural|one|other|select)\b|=\d/g, ' ').toLowerCase().match(/\p{L}{4,}/gu) ?? [];

const french = new Set(sentences.flatMap((s) => words(s.fr)));

/** english are the words that the console knows in English and not in French. */
export const english = new Set(sentences.flatMap((s) => words(s.en)).filter((w) => !french.has(w)));

/** wordsOf are the words of a text, as those above are. */
export const wordsOf = words;
