import Flashbar, { type FlashbarProps } from '@cloudscape-design/components/flashbar';
import { createContext, useCallback, useContext, useMemo, useState, type ReactNode } from 'react';
import { useT } from '../i18n';

export interface Flash {
  type: FlashbarProps.Type;
  header?: string;
  content?: ReactNode;
  action?: ReactNode;
}

interface Value {
  flash: (f: Flash) => void;
  items: FlashbarProps.MessageDefinition[];
}

const Context = createContext<Value>({ flash: () => undefined, items: [] });

export function FlashProvider({ children }: { children: ReactNode }) {
  const t = useT();
  const [list, set] = useState<(Flash & { id: string })[]>([]);
  const flash = useCallback((f: Flash) => set((l) => [...l.slice(-4), { ...f, id: crypto.randomUUID() }]), []);
  const items = useMemo(
    () =>
      list.map((f): FlashbarProps.MessageDefinition => ({
        ...f,
        dismissible: true,
        dismissLabel: t('action.dismiss'),
        ariaRole: f.type === 'error' ? 'alert' : 'status',
        onDismiss: () => set((l) => l.filter((x) => x.id !== f.id)),
      })),
    [list, t],
  );
  const value = useMemo(() => ({ flash, items }), [flash, items]);
  return <Context value={value}>{children}</Context>;
}

export function useFlash(): Value['flash'] {
  return useContext(Context).flash;
}

export function FlashList({ first }: { first?: FlashbarProps.MessageDefinition | undefined }) {
  const { items } = useContext(Context);
  const all = first ? [first, ...items] : items;
  return all.length > 0 ? <Flashbar items={all} /> : null;
}
