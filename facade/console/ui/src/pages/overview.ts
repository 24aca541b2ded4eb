import type { Alarm } from '../api/types';
import type { Row } from './queues';

export interface Concern {
  key: string;
  kind: 'alarm' | 'expiring' | 'unattended' | 'dead' | 'quota';
  queue?: Row['queue'];
  path: string;
  alarm?: string;
  group?: string;
  dead?: number;
  age?: number;
}

/** concerns lists what needs somebody, the worst first. */
export function concerns(rows: Row[], alarms: Alarm[], used: number, quota: number): Concern[] {
  const found: Concern[] = [];
  const byId = new Map(rows.map((r) => [r.queue.id, r.queue]));
  for (const a of alarms) {
    if (a.status !== 'firing') continue;
    for (const x of a.targets) {
      if (x.status !== 'firing') continue;
      const queue = byId.get(x.queue_id);
      found.push({ key: `alarm ${a.id} ${x.queue_id} ${x.group_id ?? ''}`, kind: 'alarm', alarm: a.name, ...(x.group_name ? { group: x.group_name } : {}), path: queue ? `/queues/${queue.id}?tab=alarms` : '/alarms', ...(queue ? { queue } : {}) });
    }
  }
  for (const { queue, figures } of rows) {
    if (!figures) continue;
    const path = `/queues/${queue.id}`;
    if (figures.oldest !== null && figures.oldest > queue.reservation * 60 * 0.8) found.push({ key: 'expiring ' + queue.id, kind: 'expiring', queue, path, age: figures.oldest });
    if (figures.unattended) found.push({ key: 'unattended ' + queue.id, kind: 'unattended', queue, path: path + '?tab=groups' });
    if (figures.dead) found.push({ key: 'dead ' + queue.id, kind: 'dead', queue, path: path + '?tab=dead', dead: figures.dead });
  }
  if (quota > 0 && used > quota * 0.9) found.push({ key: 'quota', kind: 'quota', path: '/usage' });
  const order = ['alarm', 'expiring', 'unattended', 'dead', 'quota'];
  return found.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}
