import { expect, test } from 'vitest';
import type { Latest } from '../api/figures';
import { QueryClient } from '@tanstack/react-query';
import { forget, merge, overlay, patch } from './patch';

const before = (): Latest => ({ at: 0, queues: new Map([['q', { available: 5, inFlight: 1, oldest: 9, dead: 0, drain: 3, unattended: false, stored: 77, sent: [], groups: new Map([['g', { available: 5, inFlight: 1, oldest: 9, dead: 0, drain: 3, unattended: false }]]) }]]) });
const group = (id: string, queue: string, available: number) => ({ id, queue_id: queue, available_messages: available, in_flight_messages: 2, dead_letters: 1, oldest_message_at: '1970-01-01T00:00:10Z' });

test('an event changes the figures of its groups and of their queues', () => {
  const was = before();
  const now = merge(was, { changed: [group('g', 'q', 7), group('h', 'q', 3), group('x', 'new', 1)], removed: [] }, 30_000);
  expect(now.queues.get('q')).toMatchObject({ available: 10, inFlight: 4, dead: 2, oldest: 20, stored: 77, drain: 3 });
  expect(now.queues.get('new')).toMatchObject({ available: 1, stored: null });
  expect(was.queues.get('q')).toMatchObject({ available: 5 });
});

test('what was removed does not count, and another queue does not matter', () => {
  const now = merge(before(), { changed: [group('x', 'new', 1)], removed: ['g'] }, 30_000, 'q');
  expect(now.queues.get('q')).toMatchObject({ available: null, stored: 77 });
  expect(now.queues.has('new')).toBe(false);
});

test('what events told outlives older samples, until nobody tells', () => {
  const client = new QueryClient();
  client.setQueryData(['latest', 'p', ''], before());
  expect(patch(client, 'p', JSON.stringify({ full: true, changed: [group('g', 'q', 7)], removed: [] }))).toBe(true);
  expect(client.getQueryData<Latest>(['latest', 'p', ''])!.queues.get('q')!.available).toBe(7);
  expect(overlay(client, 'p', before()).queues.get('q')!.available).toBe(7);
  expect(overlay(client, 'other', before()).queues.get('q')!.available).toBe(5);
  expect(patch(client, 'p', '{}')).toBe(false);
  forget(client, 'p');
  expect(overlay(client, 'p', before()).queues.get('q')!.available).toBe(5);
});
