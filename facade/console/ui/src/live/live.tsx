import { useQueryClient } from '@tanstack/react-query';
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { onlineManager } from '@tanstack/react-query';
import { useProject } from '../app/session';
import { forget, patch } from './patch';
import { listen, Refused } from './stream';

export type Mode = 'live' | 'polling' | 'paused' | 'reconnecting' | 'stale';

/** Seconds between questions where the service offers no events. */
export const pollSeconds = 5;
/** Milliseconds without a connection after which figures are called stale. */
const staleAfter = 10_000;
/** At most one round of questions in this time, however many events come. */
const coalesce = 1000;

interface Value {
  mode: Mode;
  /** When the connection was lost. */
  since: number | null;
  paused: boolean;
  pause: (yes: boolean) => void;
  /** Milliseconds between questions of a page, or false while paused. */
  every: (ms: number) => number | false;
}

const Context = createContext<Value | null>(null);

// What an event says has changed: the first member of the keys of queries.
const concerns: Record<string, string[]> = {
  snapshot: ['queues', 'queue', 'groups', 'latest', 'alarms', 'jobs'],
  queues: ['queues', 'queue'],
  groups: ['groups', 'latest'],
  alarms: ['alarms'],
  jobs: ['jobs'],
};

export function LiveProvider({ children }: { children: ReactNode }) {
  const project = useProject();
  const client = useQueryClient();
  const [paused, pause] = useState(false);
  const [link, setLink] = useState<{ mode: Mode; since: number | null }>({ mode: 'reconnecting', since: null });
  const changed = useRef(new Set<string>());
  const lastId = useRef<string | undefined>(undefined);

  const flush = useCallback(() => {
    if (changed.current.size === 0) return;
    const names = [...changed.current];
    changed.current.clear();
    for (const name of names) void client.invalidateQueries({ queryKey: [name] });
  }, [client]);

  useEffect(() => {
    lastId.current = undefined;
  }, [project]);

  useEffect(() => {
    if (paused) return undefined;
    const stop = new AbortController();
    const lost = () => {
      forget(client, project);
      setLink((l) => (l.mode === 'reconnecting' || l.mode === 'stale' ? l : { mode: 'reconnecting', since: Date.now() }));
    };
    const note = (names: string[]) => names.forEach((n) => changed.current.add(n));
    const ticking = setInterval(flush, coalesce);
    let polling: ReturnType<typeof setInterval> | undefined;

    const poll = () => {
      const ask = () => {
        if (!document.hidden) note(concerns.snapshot!);
      };
      setLink({ mode: 'polling', since: null });
      ask();
      polling = setInterval(ask, pollSeconds * 1000);
    };

    const run = async () => {
      for (let failures = 0; !stop.signal.aborted; ) {
        if (document.hidden) {
          await wake(stop.signal);
          continue;
        }
        const hidden = new AbortController();
        const leave = () => document.hidden && hidden.abort();
        document.addEventListener('visibilitychange', leave);
        const signal = AbortSignal.any([stop.signal, hidden.signal]);
        try {
          await listen(`/v2/${project}/events`, lastId.current, {
            open: () => {
              failures = 0;
              setLink({ mode: 'live', since: null });
              note(concerns.snapshot!); // what was missed
            },
            event: (e) => {
              lastId.current = e.id ?? lastId.current;
              if (e.name !== 'groups' || !patch(client, project, e.data)) note(concerns[e.name] ?? []);
              else note(['groups']);
            },
          }, signal);
          if (!stop.signal.aborted) lost();
        } catch (err) {
          if (stop.signal.aborted) return;
          if (!hidden.signal.aborted) {
            if (err instanceof Refused && [403, 404, 405, 429].includes(err.status)) return poll();
            lost();
            failures++;
          }
        } finally {
          document.removeEventListener('visibilitychange', leave);
        }
        await sleep(Math.min(500 * 2 ** Math.min(failures, 3), 4000) * (0.75 + Math.random() / 2), stop.signal);
      }
    };
    void run();
    return () => {
      stop.abort();
      forget(client, project);
      clearInterval(ticking);
      clearInterval(polling);
    };
  }, [client, project, paused, flush]);

  useEffect(() => {
    if (link.mode !== 'reconnecting' || link.since === null) return undefined;
    const timer = setTimeout(() => setLink((l) => (l.mode === 'reconnecting' ? { ...l, mode: 'stale' } : l)), staleAfter);
    return () => clearTimeout(timer);
  }, [link]);

  const value = useMemo<Value>(
    () => ({
      mode: paused ? 'paused' : link.mode,
      since: paused ? null : link.since,
      paused,
      pause,
      every: (ms) => (paused ? false : ms),
    }),
    [paused, link],
  );
  return <Context value={value}>{children}</Context>;
}

onlineManager.setOnline(true); // a browser may call itself offline and reach this machine

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), done()), { once: true });
  });
}

function wake(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    document.addEventListener('visibilitychange', () => done(), { once: true, signal });
    signal.addEventListener('abort', () => done(), { once: true });
  });
}

export function useLive(): Value {
  const value = useContext(Context);
  if (!value) throw new Error('no live figures');
  return value;
}
