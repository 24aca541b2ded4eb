import IntlMessageFormat from 'intl-messageformat';
import { createContext, useContext, useMemo, type ReactNode } from 'react';
import type { Locale } from '../lib/format';
import { messages } from './messages';

export type Key = keyof typeof messages;
export type Values = Record<string, string | number | undefined>;
export type T = (key: Key, values?: Values) => string;

const formats = new Map<string, IntlMessageFormat>();

/** translate writes the sentence of a key in a language. */
export function translate(locale: Locale, key: Key, values?: Values): string {
  const text = messages[key][locale === 'fr' ? 1 : 0];
  if (!text.includes('{')) return text;
  const id = locale + key;
  let format = formats.get(id);
  if (!format) formats.set(id, (format = new IntlMessageFormat(text, locale)));
  return String(format.format(values));
}

export function known(key: string): key is Key {
  return key in messages;
}

const Context = createContext<{ t: T; locale: Locale }>({ t: (k, v) => translate('en', k, v), locale: 'en' });

export function Language({ locale, children }: { locale: Locale; children: ReactNode }) {
  const value = useMemo(() => ({ locale, t: (k: Key, v?: Values) => translate(locale, k, v) }), [locale]);
  return <Context value={value}>{children}</Context>;
}

export function useT(): T {
  return useContext(Context).t;
}

export function useLocale(): Locale {
  return useContext(Context).locale;
}
