import { expect, test } from 'vitest';
import type { Cluster } from '../api/types';
import { translate } from '../i18n';
import { fullness, standing, verdict } from './verdict';

const member = (name: string, late = 0) => ({ name, up: true, sees: 'n1', raft_groups: 3, replicas_current: 2, led_streams: 1, led_consumers: 0, replicas_behind: late, replicas_offline: 0, stored_bytes: 0, stored_bytes_limit: 1, restarts: 0 });
const disk = { total_bytes: 100, used_bytes: 75, free_bytes: 25, keep_free_bytes: 5, reserve_bytes: 1, full: false };
const cluster = (up: number, more: Partial<Cluster> = {}, late = 0): Cluster => ({
  verdict: '', stores: up >= 2, can_lose: Math.max(0, up - 2), size: 3, up, leader: 'n1', silent_members: [],
  nodes: Array.from({ length: up }, (_, i) => ({ name: `n${i + 1}`, version: 'v', uptime_seconds: 60, ready: true, disk, members: [member(`n${i + 1}`, late)], findings: [] })),
  ...more,
});

test('the verdict says how many may be lost', () => {
  const said = (c: Cluster) => translate('en', ...verdict(c));
  expect(said(cluster(3))).toBe('3 of 3 members store. One may be lost and everything goes on.');
  expect(said(cluster(2))).toBe('2 of 3 members store. No other may be lost.');
  expect(said(cluster(1))).toMatch(/^1 of 3 members store\. That is no quorum/);
  expect(said(cluster(3, { can_lose: 0 }, 1))).toMatch(/^3 of 3 members store, but 3 replicas have to catch up/);
  expect(standing(cluster(3, { stores: false }))).toBe('full');
  expect(translate('fr', ...verdict(cluster(3)))).toMatch(/^3 membres sur 3 stockent\. Un membre peut/);
});

test('what is not known of a disk is not known', () => {
  expect(fullness(disk)).toBe(0.75);
  expect(fullness({ ...disk, total_bytes: 0, used_bytes: 0, free_bytes: 0 })).toBeNull();
});
