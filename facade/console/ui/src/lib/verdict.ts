import type { Cluster } from '../api/types';
import type { Key, Values } from '../i18n';

export type Standing = 'safe' | 'none' | 'behind' | 'full' | 'stopped';

/** behind counts replicas that are not as new as what leads them. */
export function behind(c: Cluster): number {
  return c.nodes.flatMap((n) => n.members).reduce((sum, m) => sum + m.replicas_behind + m.replicas_offline, 0);
}

/** standing says what the cluster could bear, the worst first. */
export function standing(c: Cluster): Standing {
  if (c.up <= Math.floor(c.size / 2)) return 'stopped';
  if (!c.stores) return 'full';
  if (c.can_lose > 0) return 'safe';
  return c.up === c.size && behind(c) > 0 ? 'behind' : 'none';
}

/** verdict is the sentence that says so. */
export function verdict(c: Cluster): [Key, Values] {
  return [`cluster.${standing(c)}`, { up: c.up, size: c.size, lose: c.can_lose, n: behind(c) }];
}

/** fullness is the part of a disk that is used, of what may be used at all. */
export function fullness(d: Cluster['nodes'][number]['disk']): number | null {
  const all = d.used_bytes + d.free_bytes; // what is kept for others belongs to neither
  return all > 0 ? d.used_bytes / all : null;
}
