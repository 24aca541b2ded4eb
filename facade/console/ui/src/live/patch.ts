import type { QueryClient } from '@tanstack/react-query';
import { combine, type Figures, type Latest } from '../api/figures';

export interface GroupFigures {
  id: string;
  queue_id: string;
  available_messages: number;
  in_flight_messages: number;
  dead_letters: number;
  oldest_message_at: string | number | null;
}

interface Update {
  /** Whether there is nothing but what has changed. */
  full?: boolean;
  changed: GroupFigures[];
  removed: string[];
}

function read(data: string): Update | null {
  try {
    const u = JSON.parse(data) as Partial<Update>;
    return Array.isArray(u.changed) && Array.isArray(u.removed) ? (u as Update) : null;
  } catch {
    return null;
  }
}

/** merge puts the figures of an event into what is known. */
export function merge(latest: Latest, u: Update, now: number, only?: string): Latest {
  const queues = new Map(latest.queues);
  const touched = new Set<string>();
  const groupsOf = (queue: string) => {
    const before = queues.get(queue);
    if (!touched.has(queue)) {
      touched.add(queue);
      const empty = { available: null, inFlight: null, oldest: null, dead: null, drain: null, unattended: false, stored: null, sent: [] };
      queues.set(queue, { ...(before ?? empty), groups: new Map(before?.groups) });
    }
    return queues.get(queue)!.groups;
  };
  for (const g of u.changed) {
    if (only && g.queue_id !== only) continue;
    const groups = groupsOf(g.queue_id);
    const before = groups.get(g.id);
    const at = g.oldest_message_at === null ? null : new Date(g.oldest_message_at).getTime();
    const figures: Figures = {
      drain: before?.drain ?? null,
      unattended: before?.unattended ?? false,
      available: g.available_messages,
      inFlight: g.in_flight_messages,
      dead: g.dead_letters,
      oldest: at === null ? (g.available_messages === 0 ? 0 : (before?.oldest ?? null)) : Math.max(0, (now - at) / 1000),
    };
    groups.set(g.id, figures);
  }
  for (const id of u.removed) {
    for (const [queue, q] of queues) if (q.groups.has(id)) groupsOf(queue).delete(id);
  }
  for (const id of touched) {
    const q = queues.get(id)!;
    queues.set(id, { ...q, ...combine([...q.groups.values()]) });
  }
  return { at: now, queues };
}

type Told = Map<string, GroupFigures>;

const told = (project: string) => ['figures', project];

/** overlay puts what events have told into figures that are sampled and so some seconds old. */
export function overlay(client: QueryClient, project: string, latest: Latest, queue?: string): Latest {
  const known = client.getQueryData<Told>(told(project));
  return known ? merge(latest, { changed: [...known.values()], removed: [] }, Date.now(), queue) : latest;
}

/** patch takes an event about groups to heart. It says whether it could. */
export function patch(client: QueryClient, project: string, data: string): boolean {
  const u = read(data);
  if (!u) return false;
  const known: Told = new Map(u.full ? [] : client.getQueryData<Told>(told(project)));
  for (const g of u.changed) known.set(g.id, g);
  for (const id of u.removed) known.delete(id);
  client.setQueryDefaults(told(project), { gcTime: Infinity });
  client.setQueryData(told(project), known);
  for (const [key, latest] of client.getQueriesData<Latest>({ queryKey: ['latest', project] })) {
    if (key.length !== 3 || !latest) continue;
    client.setQueryData(key, merge(latest, u, Date.now(), (key[2] as string) || undefined));
  }
  return true;
}

/** forget drops what was told when nobody tells any more. */
export function forget(client: QueryClient, project: string): void {
  client.removeQueries({ queryKey: told(project) });
}
