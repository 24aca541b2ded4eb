import { useCallback, useEffect, useReducer, useRef } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { ackRequest, consume } from '../../api/messages';
import { send } from '../../api/http';
import type { Delivery } from '../../api/types';

export type AckMode = 'auto' | 'hand' | 'never';
export type Fate = 'held' | 'acked' | 'failed' | 'returns';

export interface Taken extends Delivery {
  key: string;
  dead: boolean;
  group: string;
  /** Milliseconds since 1970. */
  received: number;
  deadline: number;
  fate: Fate;
  error?: unknown;
}

export interface Plan {
  group: string;
  dead: boolean;
  number: number;
  interval: number;
  ackWait: number;
  mode: AckMode;
}

interface State {
  rows: Taken[];
  running: boolean;
  asking: boolean;
  got: number;
  next: number | null;
  error: unknown;
}

type Change = Partial<State> | ((s: State) => Partial<State>);

const idle: State = { rows: [], running: false, asking: false, got: 0, next: null, error: null };

/** useConsuming runs a consume test: one message at a time, at an interval, until there are enough. */
export function useConsuming(project: string, queue: string) {
  const client = useQueryClient();
  const [state, change] = useReducer((s: State, c: Change): State => ({ ...s, ...(typeof c === 'function' ? c(s) : c) }), idle);
  const stopper = useRef<AbortController | null>(null);

  const set = useCallback((key: string, more: Partial<Taken>) => change((s) => ({ rows: s.rows.map((r) => (r.key === key ? { ...r, ...more } : r)) })), []);

  const settle = useCallback(
    async (row: Taken, status: 'success' | 'fail') => {
      try {
        await send(project, ackRequest(queue, row.group, row.dead, [row.handler], status));
        set(row.key, { fate: status === 'success' ? 'acked' : 'failed', error: undefined });
      } catch (error) {
        set(row.key, { error });
      }
      void client.invalidateQueries({ queryKey: ['groups', project, queue] });
    },
    [project, queue, set, client],
  );

  const stop = useCallback(() => {
    stopper.current?.abort();
    stopper.current = null;
    change({ running: false, asking: false, next: null });
  }, []);

  const start = useCallback(
    async (plan: Plan) => {
      stop();
      const stopping = new AbortController();
      stopper.current = stopping;
      change({ running: true, got: 0, error: null });
      try {
        for (let got = 0; got < plan.number && !stopping.signal.aborted; ) {
          change({ asking: true, next: null });
          const asked = Date.now();
          const found = await consume(project, queue, { group: plan.group, dead: plan.dead, most: 1, wait: Math.min(plan.interval, 30), ackWait: plan.ackWait }, { signal: stopping.signal });
          // The service counts from before the message was taken.
          const rows = found.map((d): Taken => ({ ...d, key: crypto.randomUUID(), dead: plan.dead, group: plan.group, received: Date.now(), deadline: Date.now() + plan.ackWait * 1000, fate: 'held' }));
          got += rows.length;
          change((s) => ({ rows: [...rows, ...s.rows], got, asking: false }));
          if (plan.mode === 'auto') for (const row of rows) await settle(row, 'success');
          if (got >= plan.number) break;
          const next = asked + plan.interval * 1000;
          if (rows.length > 0 || next > Date.now()) {
            change({ next });
            await pause(next - Date.now(), stopping.signal);
          }
        }
      } catch (error) {
        if (!stopping.signal.aborted) change({ error });
      }
      if (!stopping.signal.aborted) stop();
    },
    [project, queue, settle, stop],
  );
  useEffect(() => () => stopper.current?.abort(), []);

  const lapse = useCallback((now: number) => {
    change((s) => (s.rows.some((r) => r.fate === 'held' && r.deadline <= now) ? { rows: s.rows.map((r) => (r.fate === 'held' && r.deadline <= now ? { ...r, fate: 'returns' as const } : r)) } : {}));
  }, []);

  return { ...state, start, stop, settle, lapse, clear: () => change({ rows: [], got: 0, error: null }) };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, Math.max(0, ms));
    signal.addEventListener('abort', () => (clearTimeout(timer), done()), { once: true });
  });
}
