import { useMemo } from 'react';
import { ApiError } from '../api/http';
import { known, useLocale, type T } from '../i18n';
import * as format from '../lib/format';
import { usePreferences } from './preferences';

/** sentence says in words what went wrong. */
export function sentence(t: T, err: unknown): string {
  if (!(err instanceof ApiError)) return t('error.other', { text: err instanceof Error ? err.message : String(err) });
  if (err.status === 0) return t('error.network');
  const number = 'error.' + (/\d{8}$/.exec(err.code)?.[0] ?? '');
  if (known(number)) return t(number);
  const status = 'error.' + (err.status >= 502 && err.status <= 504 ? 503 : err.status);
  if (known(status)) return t(status);
  return t('error.other', { text: err.message });
}

/** useFormat writes figures and times as the user wants them. */
export function useFormat() {
  const locale = useLocale();
  const { zone, time } = usePreferences().preferences;
  return useMemo(
    () => ({
      count: (n: number | null | undefined) => format.count(n, locale),
      short: (n: number | null | undefined) => format.short(n, locale),
      bytes: (n: number | null | undefined) => format.bytes(n, locale),
      duration: (s: number | null | undefined) => format.duration(s, locale),
      moment: (at: number | string | null | undefined) => format.moment(at, locale, zone),
      clock: (at: number, seconds = true) => format.clock(at, locale, zone, seconds),
      ago: (at: number | string | null | undefined) => format.ago(at, locale),
      time: (at: number | string | null | undefined) => (time === 'relative' ? format.ago(at, locale) : format.moment(at, locale, zone)),
      relative: time === 'relative',
    }),
    [locale, zone, time],
  );
}
