import { expect, test } from 'vitest';
import { gather, rates } from './figures';
import type { Series } from './types';

const series = (metric: string, group: string | undefined, values: (number | null)[]): Series => ({
  metric, unit: 'count', queue_id: 'q', ...(group ? { group_id: group } : {}), points: values.map((value, i) => ({ timestamp: i * 10_000, value })),
});

test('figures of a queue are those of its groups put together', () => {
  const q = gather([
    series('available_messages', 'a', [1, 2]), series('available_messages', 'b', [5, null]),
    series('oldest_message_age', 'a', [9]), series('oldest_message_age', 'b', [30]),
    series('growing_without_consumer', 'b', [1]), series('stored_bytes', undefined, [100]),
  ], 0).queues.get('q')!;
  expect(q).toMatchObject({ available: 7, oldest: 30, unattended: true, stored: 100, inFlight: null, dead: null });
  expect(q.groups.get('b')).toMatchObject({ available: 5, unattended: true });
});

test('rates are per second, and not known beside what is not known', () => {
  expect(rates(series('produced_messages', undefined, [0, 50, null, 70, 60]).points)).toEqual([null, 5, null, null, 0]);
});
