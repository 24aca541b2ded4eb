import type { Figures, Latest } from '../api/figures';
import type { Alarm, Queue } from '../api/types';

export type Health = 'ok' | 'idle' | 'dead' | 'unattended' | 'expiring' | 'alarm' | 'unknown';

export interface Row {
  queue: Queue;
  figures: (Figures & { stored: number | null }) | null;
  health: Health;
}

/** judge says what is to be seen first of a queue. */
export function judge(q: Queue, f: Figures | null | undefined, alarms: Alarm[]): Health {
  if (alarms.some((a) => a.targets.some((x) => x.queue_id === q.id && x.status === 'firing'))) return 'alarm';
  if (f?.oldest != null && f.oldest > q.reservation * 60 * 0.8) return 'expiring';
  if (f?.dead) return 'dead';
  if (f?.unattended) return 'unattended';
  if (q.group_count === 0) return 'idle';
  return f ? 'ok' : 'unknown';
}

export function rows(queues: Queue[], latest: Latest | undefined, alarms: Alarm[]): Row[] {
  return queues.map((queue) => {
    const figures = latest?.queues.get(queue.id) ?? null;
    return { queue, figures, health: judge(queue, figures, alarms) };
  });
}

export const columns = ['name', 'state', 'messages', 'waiting', 'inflight', 'oldest', 'dead', 'type', 'groups', 'stored', 'created', 'description', 'id'] as const;
export type Column = (typeof columns)[number];
export const usual: Column[] = ['name', 'state', 'messages', 'waiting', 'oldest', 'dead', 'type', 'groups'];

const severity: Health[] = ['alarm', 'expiring', 'dead', 'unattended', 'unknown', 'idle', 'ok'];

/** value is what a column is sorted by. */
export function value(r: Row, c: Column): string | number {
  const n = (v: number | null | undefined) => v ?? -1;
  switch (c) {
    case 'name': return r.queue.name.toLowerCase();
    case 'state': return severity.indexOf(r.health);
    case 'messages': return r.queue.produced_messages;
    case 'waiting': return n(r.figures?.available);
    case 'inflight': return n(r.figures?.inFlight);
    case 'oldest': return n(r.figures?.oldest);
    case 'dead': return n(r.figures?.dead);
    case 'type': return r.queue.queue_mode;
    case 'groups': return r.queue.group_count;
    case 'stored': return n(r.figures?.stored);
    case 'created': return r.queue.created;
    case 'description': return (r.queue.description ?? '').toLowerCase();
    case 'id': return r.queue.id;
  }
}

export function sorted(list: Row[], by: Column, down: boolean): Row[] {
  return [...list].sort((a, b) => {
    const x = value(a, by);
    const y = value(b, by);
    const order = x < y ? -1 : x > y ? 1 : a.queue.name < b.queue.name ? -1 : 1;
    return down ? -order : order;
  });
}

/** matches finds all words in the name, the description or the ID, or in the words for type and state. */
export function matches(r: Row, words: string[], state: string, type: string): boolean {
  const text = `${r.queue.name} ${r.queue.description ?? ''} ${r.queue.id} ${state} ${type}`.toLowerCase();
  return words.every((w) => text.includes(w));
}
