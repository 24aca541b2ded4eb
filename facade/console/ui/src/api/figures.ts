import { json, type Options } from './http';
import type { Metrics, Series } from './types';

/** What is known of a queue or a group now. Null is not known, which is not zero. */
export interface Figures {
  available: number | null;
  inFlight: number | null;
  oldest: number | null;
  dead: number | null;
  drain: number | null;
  unattended: boolean;
}

export interface Latest {
  at: number;
  queues: Map<string, Figures & { groups: Map<string, Figures>; stored: number | null; sent: (number | null)[] }>;
}

const none = (): Figures => ({ available: null, inFlight: null, oldest: null, dead: null, drain: null, unattended: false });

export function last(s: Series): number | null {
  for (let i = s.points.length - 1; i >= 0; i--) {
    const v = s.points[i]!.value;
    if (v !== null) return v;
  }
  return null;
}

/** rates turns a total into what was added in a second, at each point. */
export function rates(points: { timestamp: number; value: number | null }[]): (number | null)[] {
  return points.map((p, i) => {
    const before = points[i - 1];
    if (!before || p.value === null || before.value === null) return null;
    return Math.max(0, (p.value - before.value) / ((p.timestamp - before.timestamp) / 1000));
  });
}

const sum = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : a + b);
const most = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : Math.max(a, b));

function put(f: Figures, metric: string, v: number | null) {
  switch (metric) {
    case 'available_messages': f.available = sum(f.available, v); break;
    case 'in_flight_messages': f.inFlight = sum(f.inFlight, v); break;
    case 'dead_avail_messages': f.dead = sum(f.dead, v); break;
    case 'oldest_message_age': f.oldest = most(f.oldest, v); break;
    case 'time_to_drain': f.drain = most(f.drain, v); break;
    case 'growing_without_consumer': f.unattended = f.unattended || v === 1; break;
  }
}

/** combine makes the figures of a queue from those of its groups. */
export function combine(groups: Figures[]): Figures {
  const all = none();
  for (const g of groups) {
    all.available = sum(all.available, g.available);
    all.inFlight = sum(all.inFlight, g.inFlight);
    all.dead = sum(all.dead, g.dead);
    all.oldest = most(all.oldest, g.oldest);
    all.drain = most(all.drain, g.drain);
    all.unattended ||= g.unattended;
  }
  return all;
}

/** gather puts series together by queue and group. */
export function gather(series: Series[], at: number): Latest {
  const queues: Latest['queues'] = new Map();
  for (const s of series) {
    let q = queues.get(s.queue_id);
    if (!q) queues.set(s.queue_id, (q = { ...none(), groups: new Map(), stored: null, sent: [] }));
    const v = last(s);
    if (s.metric === 'stored_bytes') q.stored = v;
    if (s.metric === 'produced_messages') q.sent = rates(s.points).slice(1);
    if (!s.group_id) continue;
    let g = q.groups.get(s.group_id);
    if (!g) q.groups.set(s.group_id, (g = none()));
    put(g, s.metric, v);
    put(q, s.metric, v);
  }
  return { at, queues };
}

const wanted = ['available_messages', 'in_flight_messages', 'oldest_message_age', 'dead_avail_messages', 'time_to_drain', 'growing_without_consumer', 'stored_bytes'];

/** latest asks for the newest sample of every queue, or of one. */
export async function latest(project: string, queue?: string, o?: Options): Promise<Latest> {
  const to = Date.now();
  const m = await json<Metrics>(project, { method: 'GET', path: '/metrics', query: { metric: wanted.join(','), from: to - 60_000, to, step: 10, queue } }, o);
  return gather(m.series, m.to);
}

export interface Range {
  metrics: string[];
  seconds: number;
  queue?: string;
  group?: string;
}

/** over asks for a range that ends now, with about 180 points. */
export function over(project: string, r: Range, o?: Options): Promise<Metrics> {
  const step = Math.max(10, Math.ceil(r.seconds / 180 / 10) * 10);
  const to = Math.floor(Date.now() / (step * 1000)) * step * 1000;
  return json(project, { method: 'GET', path: '/metrics', query: { metric: r.metrics.join(','), from: to - r.seconds * 1000, to, step, queue: r.queue, group: r.group } }, o);
}
