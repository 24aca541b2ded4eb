import { expect, test } from 'vitest';
import type { Alarm, Queue } from '../api/types';
import { judge, matches, rows, sorted } from './queues';

const queue = (name: string, more: Partial<Queue> = {}): Queue => ({ id: 'id-' + name, name, description: null, queue_mode: 'NORMAL', reservation: 4320, created: 0, eff_date: 0, max_msg_size_byte: 524288, produced_messages: 0, group_count: 1, ...more });
const figures = { available: 0, inFlight: 0, oldest: 0, dead: 0, drain: 0, unattended: false };

test('the worst of a queue is what is shown', () => {
  const firing = [{ targets: [{ queue_id: 'id-a', status: 'firing' }] }] as unknown as Alarm[];
  expect(judge(queue('a'), { ...figures, dead: 1 }, firing)).toBe('alarm');
  expect(judge(queue('a'), { ...figures, dead: 1, oldest: 72 * 3600 * 0.9 }, [])).toBe('expiring');
  expect(judge(queue('a'), { ...figures, dead: 1, unattended: true }, [])).toBe('dead');
  expect(judge(queue('a'), { ...figures, unattended: true }, [])).toBe('unattended');
  expect(judge(queue('a', { group_count: 0 }), null, [])).toBe('idle');
  expect(judge(queue('a'), null, [])).toBe('unknown');
  expect(judge(queue('a'), figures, [])).toBe('ok');
});

test('what is not known sorts below zero', () => {
  const list = rows([queue('b'), queue('a'), queue('c')], { at: 0, queues: new Map([['id-c', { ...figures, groups: new Map(), stored: 0, sent: [] }]]) }, []);
  expect(sorted(list, 'waiting', true).map((r) => r.queue.name)).toEqual(['c', 'b', 'a']);
  expect(sorted(list, 'name', false).map((r) => r.queue.name)).toEqual(['a', 'b', 'c']);
});

test('a filter wants all its words, in any order', () => {
  const [r] = rows([queue('orders-eu', { description: 'From the shop' })], undefined, []);
  expect(matches(r!, ['shop', 'orders'], 'fine', 'fifo')).toBe(true);
  expect(matches(r!, ['fifo'], 'fine', 'fifo')).toBe(true);
  expect(matches(r!, ['orders', 'us'], 'fine', 'standard')).toBe(false);
});

test('ten thousand queues are filtered and sorted at once', () => {
  const many = rows(Array.from({ length: 10_000 }, (_, i) => queue('queue-' + i)), undefined, []);
  expect(sorted(many.filter((r) => matches(r, ['99'], '', '')), 'name', false).length).toBe(Array.from({ length: 10_000 }, (_, i) => String(i)).filter((n) => n.includes('99')).length);
});
