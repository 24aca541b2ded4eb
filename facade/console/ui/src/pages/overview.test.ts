import { expect, test } from 'vitest';
import type { Alarm } from '../api/types';
import { concerns } from './overview';
import type { Row } from './queues';

const row = (id: string, figures: Partial<NonNullable<Row['figures']>> | null): Row =>
  ({ queue: { id, name: id, reservation: 60 }, figures: figures && { available: 0, inFlight: 0, oldest: 0, dead: 0, drain: 0, unattended: false, stored: 0, ...figures }, health: 'ok' }) as unknown as Row;

test('the worst comes first, and what is not known is no concern', () => {
  const alarms = [
    { id: 'a', name: 'big', status: 'firing', targets: [{ queue_id: 'q1', status: 'firing' }, { queue_id: 'q2', status: 'pending' }] },
    { id: 'b', name: 'fine', status: 'ok', targets: [] },
  ] as unknown as Alarm[];
  const list = concerns([row('q1', { dead: 2 }), row('q2', { oldest: 3500, unattended: true }), row('q3', null), row('q4', {})], alarms, 29, 30);
  expect(list.map((c) => c.key)).toEqual(['alarm a q1 ', 'expiring q2', 'unattended q2', 'dead q1', 'quota']);
  expect(concerns([row('q', {})], [], 27, 30)).toEqual([]);
});
