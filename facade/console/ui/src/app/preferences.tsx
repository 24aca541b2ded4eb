import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { applyDensity, applyMode, Density, disableMotion, Mode } from '@cloudscape-design/global-styles';
import type { Locale, TimeStyle, Zone } from '../lib/format';

export interface Preferences {
  locale: Locale;
  theme: 'system' | 'light' | 'dark';
  density: 'comfortable' | 'compact';
  time: TimeStyle;
  zone: Zone;
  /** Shortcuts of a single key can disturb those who speak to their computer. */
  shortcuts: boolean;
  pageSize: number;
}

const key = 'dms.preferences';

function stored(): Preferences {
  const locale: Locale = navigator.language.toLowerCase().startsWith('fr') ? 'fr' : 'en';
  const usual: Preferences = { locale, theme: 'system', density: 'comfortable', time: 'absolute', zone: 'local', shortcuts: true, pageSize: 50 };
  try {
    return { ...usual, ...(JSON.parse(localStorage.getItem(key) ?? '{}') as Partial<Preferences>) };
  } catch {
    return usual;
  }
}

interface Value {
  preferences: Preferences;
  dark: boolean;
  change: (p: Partial<Preferences>) => void;
}

const Context = createContext<Value | null>(null);

export function useMedia(query: string): boolean {
  const [matches, set] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const changed = () => set(media.matches);
    changed();
    media.addEventListener('change', changed);
    return () => media.removeEventListener('change', changed);
  }, [query]);
  return matches;
}

/** useNarrow says whether tables must become cards. */
export function useNarrow(): boolean {
  return useMedia('(max-width: 687px)');
}

export function PreferencesProvider({ children }: { children: ReactNode }) {
  const [preferences, set] = useState(stored);
  const night = useMedia('(prefers-color-scheme: dark)');
  const still = useMedia('(prefers-reduced-motion: reduce)');
  const dark = preferences.theme === 'dark' || (preferences.theme === 'system' && night);
  const change = useCallback((p: Partial<Preferences>) => {
    set((before) => {
      const after = { ...before, ...p };
      try {
        localStorage.setItem(key, JSON.stringify(after));
      } catch {
        // Without storage they last as long as the page.
      }
      return after;
    });
  }, []);
  useEffect(() => applyMode(dark ? Mode.Dark : Mode.Light), [dark]);
  useEffect(() => applyDensity(preferences.density === 'compact' ? Density.Compact : Density.Comfortable), [preferences.density]);
  useEffect(() => disableMotion(still), [still]);
  useEffect(() => {
    document.documentElement.lang = preferences.locale;
  }, [preferences.locale]);
  const value = useMemo(() => ({ preferences, dark, change }), [preferences, dark, change]);
  return <Context value={value}>{children}</Context>;
}

export function usePreferences(): Value {
  const value = useContext(Context);
  if (!value) throw new Error('no preferences');
  return value;
}
