import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { useSearchParams } from 'react-router';
import { onExpired } from '../api/http';
import type { Provider, Role, Session } from '../api/types';

export type Permission = 'observe' | 'produce' | 'consume' | 'inspect' | 'manage' | 'operate';

const grants: Record<Role, Permission[]> = {
  viewer: ['observe'],
  producer: ['observe', 'produce'],
  consumer: ['observe', 'consume', 'inspect'],
  manager: ['observe', 'produce', 'consume', 'inspect', 'manage'],
  operator: ['operate'],
};

export interface Who {
  session: Session;
  project: Session['projects'][number];
  /** Whether the roles in this project permit something. */
  can: (p: Permission) => boolean;
  operator: boolean;
  choose: (project: string) => void;
  expired: boolean;
  again: () => Promise<boolean>;
  signOut: () => Promise<void>;
}

export type Standing = { state: 'loading' } | { state: 'nobody'; providers: Provider[] } | { state: 'unreachable' } | { state: 'somebody'; session: Session };

async function ask(): Promise<Standing> {
  try {
    const response = await fetch('/console/session', { headers: { Accept: 'application/json' }, credentials: 'same-origin' });
    if (response.ok) return { state: 'somebody', session: (await response.json()) as Session };
    if (response.status !== 401) return { state: 'unreachable' };
    const nobody = (await response.json().catch(() => ({}))) as { providers?: Provider[] };
    return { state: 'nobody', providers: nobody.providers ?? [] };
  } catch {
    return { state: 'unreachable' };
  }
}

/** loginURL is where to sign in, to come back to the page that is shown. */
export function loginURL(provider?: string): string {
  const back = location.pathname + location.search;
  return `/console/login?${provider ? `provider=${encodeURIComponent(provider)}&` : ''}return=${encodeURIComponent(back)}`;
}

const Context = createContext<Who | null>(null);
const remembered = 'dms.project';

export function useStanding(): [Standing, () => Promise<Standing>] {
  const [standing, set] = useState<Standing>({ state: 'loading' });
  const look = useCallback(async () => {
    const found = await ask();
    set((before) => (found.state !== 'somebody' && before.state === 'somebody' ? before : found));
    return found;
  }, []);
  useEffect(() => void look(), [look]);
  return [standing, look];
}

interface Props {
  session: Session;
  look: () => Promise<Standing>;
  children: ReactNode;
}

export function SessionProvider({ session, look, children }: Props) {
  const [params, setParams] = useSearchParams();
  const [chosen, set] = useState(() => params.get('project') ?? localStorage.getItem(remembered) ?? '');
  const [expired, setExpired] = useState(false);
  useEffect(() => onExpired(() => setExpired(true)), []);
  const project = session.projects.find((p) => p.id === chosen) ?? session.projects[0]!;
  useEffect(() => {
    if (!params.has('project')) return;
    setParams((p) => (p.delete('project'), p), { replace: true });
  }, [params, setParams]);
  const value = useMemo<Who>(
    () => ({
      session,
      project,
      expired,
      can: (p) => project.roles.some((r) => grants[r]?.includes(p)),
      operator: session.operator ?? session.projects.some((p) => p.roles.includes('operator')),
      choose: (id) => {
        localStorage.setItem(remembered, id);
        set(id);
      },
      again: async () => {
        const found = await look();
        const back = found.state === 'somebody';
        setExpired(!back);
        return back;
      },
      signOut: async () => {
        const response = await fetch('/console/session', { method: 'DELETE', credentials: 'same-origin' }).catch(() => null);
        const ended = (await response?.json().catch(() => null)) as { logout_url?: string | null } | null | undefined;
        location.assign(ended?.logout_url ?? '/console/');
      },
    }),
    [session, project, expired, look],
  );
  return <Context value={value}>{children}</Context>;
}

export function useWho(): Who {
  const value = useContext(Context);
  if (!value) throw new Error('nobody is signed in');
  return value;
}

export function useProject(): string {
  return useWho().project.id;
}
