import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';

// The split panel belongs to the frame, and what it shows to a page.
interface Value {
  panel: ReactNode;
  set: (p: ReactNode) => void;
}

const Context = createContext<Value>({ panel: null, set: () => undefined });

export function PanelProvider({ children }: { children: ReactNode }) {
  const [panel, set] = useState<ReactNode>(null);
  const value = useMemo(() => ({ panel, set }), [panel]);
  return <Context value={value}>{children}</Context>;
}

export function usePanelContent(): Value {
  return useContext(Context);
}

/** usePanel shows something in the panel while the page is there. It must be memoized. */
export function usePanel(content: ReactNode): void {
  const { set } = useContext(Context);
  useEffect(() => {
    set(content);
  }, [set, content]);
  useEffect(() => () => set(null), [set]);
}
