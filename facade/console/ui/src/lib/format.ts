// Numbers, sizes and times in words, by the rules of a language.

export type Locale = 'en' | 'fr';

const unknown = '–';

export function count(n: number | null | undefined, locale: Locale): string {
  return n === null || n === undefined || Number.isNaN(n) ? unknown : new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(n);
}

/** short writes large numbers with few digits: 12.3K. */
export function short(n: number | null | undefined, locale: Locale): string {
  if (n === null || n === undefined || Number.isNaN(n)) return unknown;
  return new Intl.NumberFormat(locale, Math.abs(n) < 10_000 ? { maximumFractionDigits: Math.abs(n) < 10 ? 2 : 0 } : { notation: 'compact', maximumFractionDigits: 1 }).format(n);
}

export function bytes(n: number | null | undefined, locale: Locale): string {
  if (n === null || n === undefined) return unknown;
  const units = locale === 'fr' ? ['o', 'Kio', 'Mio', 'Gio', 'Tio'] : ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: unit === 0 || n >= 100 ? 0 : 1 }).format(n)}\u202f${units[unit]}`;
}

/** duration writes seconds with the two largest units that matter: 2 h 5 min. */
export function duration(seconds: number | null | undefined, locale: Locale): string {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return unknown;
  const s = Math.max(0, Math.round(seconds));
  const day = locale === 'fr' ? 'j' : 'd';
  const parts: [number, string][] = [[Math.floor(s / 86400), day], [Math.floor(s / 3600) % 24, 'h'], [Math.floor(s / 60) % 60, 'min'], [s % 60, 's']];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return '0\u202fs';
  return parts.slice(first, first + 2).filter(([n]) => n > 0).map(([n, u]) => `${n}\u202f${u}`).join(' ');
}

export type TimeStyle = 'absolute' | 'relative';
export type Zone = 'local' | 'utc';

export function moment(at: number | string | null | undefined, locale: Locale, zone: Zone): string {
  if (at === null || at === undefined || at === '') return unknown;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return unknown;
  const text = new Intl.DateTimeFormat(locale === 'en' ? 'en-GB' : locale, { dateStyle: 'medium', timeStyle: 'medium', ...(zone === 'utc' ? { timeZone: 'UTC' } : {}) }).format(date);
  return zone === 'utc' ? text + ' UTC' : text;
}

export function clock(at: number, locale: Locale, zone: Zone, seconds = true): string {
  return new Intl.DateTimeFormat(locale === 'en' ? 'en-GB' : locale, { hour: '2-digit', minute: '2-digit', ...(seconds ? { second: '2-digit' } : {}), ...(zone === 'utc' ? { timeZone: 'UTC' } : {}) }).format(at);
}

export function ago(at: number | string | null | undefined, locale: Locale, now = Date.now()): string {
  if (at === null || at === undefined || at === '') return unknown;
  const seconds = (new Date(at).getTime() - now) / 1000;
  if (Number.isNaN(seconds)) return unknown;
  const steps: [number, Intl.RelativeTimeFormatUnit][] = [[60, 'second'], [3600, 'minute'], [86400, 'hour'], [Infinity, 'day']];
  const sizes = { second: 1, minute: 60, hour: 3600, day: 86400 } as Record<string, number>;
  const [, unit] = steps.find(([limit]) => Math.abs(seconds) < limit)!;
  return new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(Math.round(seconds / sizes[unit]!), unit);
}
