import Header from '@cloudscape-design/components/header';
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { useT } from '../i18n';

export interface Crumb {
  text: string;
  path: string;
}

const Context = createContext<{ trail: Crumb[]; set: (c: Crumb[]) => void }>({ trail: [], set: () => undefined });

export function PageProvider({ children }: { children: ReactNode }) {
  const [trail, set] = useState<Crumb[]>([]);
  const value = useMemo(() => ({ trail, set }), [trail]);
  return <Context value={value}>{children}</Context>;
}

export function usePageTrail() {
  return useContext(Context);
}

interface Props {
  title: string;
  /** What stands before the page on the way to it. */
  above?: Crumb[];
  description?: ReactNode;
  actions?: ReactNode;
  counter?: string;
  info?: ReactNode;
}

/** PageHeader names the page: in its heading, in the path above it and in the browser's tab. */
export function PageHeader({ title, above, description, actions, counter, info }: Props) {
  const t = useT();
  const { set } = useContext(Context);
  const path = JSON.stringify(above ?? []);
  useEffect(() => {
    document.title = t('app.page', { page: title });
    set([...(JSON.parse(path) as Crumb[]), { text: title, path: location.pathname.replace(/^\/console/, '') }]);
  }, [t, set, title, path]);
  return (
    <Header variant="h1" description={description} actions={actions} {...(counter ? { counter } : {})} info={info}>
      {title}
    </Header>
  );
}
