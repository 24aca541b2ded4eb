import { I18nProvider } from '@cloudscape-design/components/i18n';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useState, type ReactNode } from 'react';
import { createBrowserRouter, RouterProvider } from 'react-router';
import { ApiError } from '../api/http';
import { Language } from '../i18n';
import type { Locale } from '../lib/format';
import { FlashProvider } from './flash';
import { Gate } from './gate';
import { PanelProvider } from './panel';
import { PreferencesProvider, usePreferences } from './preferences';
import { pages } from './pages';

const Frame = lazy(() => import('./Frame'));

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 500,
      refetchOnWindowFocus: false,
      networkMode: 'always',
      retry: (failures, err) => failures < 2 && err instanceof ApiError && (err.status === 0 || err.status === 429 || err.status >= 500),
      retryDelay: (failures, err) => (err instanceof ApiError && err.retryAfter ? err.retryAfter * 1000 : 400 * 2 ** failures),
    },
    mutations: { networkMode: 'always' },
  },
});

const router = createBrowserRouter([{ element: <Gate><Suspense fallback={null}><Frame /></Suspense></Gate>, HydrateFallback: () => null, children: pages }], { basename: '/console' });

const words: Record<Locale, () => Promise<{ default: unknown }>> = {
  en: () => import('@cloudscape-design/components/i18n/messages/all.en.json'),
  fr: () => import('@cloudscape-design/components/i18n/messages/all.fr.json'),
};

function Widgets({ children }: { children: ReactNode }) {
  const { locale } = usePreferences().preferences;
  const [loaded, set] = useState<{ locale: Locale; messages: never } | null>(null);
  useEffect(() => {
    let gone = false;
    void words[locale]().then((m) => !gone && set({ locale, messages: m.default as never }));
    return () => {
      gone = true;
    };
  }, [locale]);
  return (
    <Language locale={locale}>
      {loaded ? <I18nProvider locale={loaded.locale} messages={[loaded.messages]}>{children}</I18nProvider> : null}
    </Language>
  );
}

export function App() {
  return (
    <QueryClientProvider client={client}>
      <PreferencesProvider>
        <Widgets>
          <FlashProvider>
            <PanelProvider>
              <RouterProvider router={router} />
            </PanelProvider>
          </FlashProvider>
        </Widgets>
      </PreferencesProvider>
    </QueryClientProvider>
  );
}
