import { afterEach, expect, test, vi } from 'vitest';
import { ApiError, send } from './http';
import { consume, outgoing, peek } from './messages';

afterEach(() => vi.unstubAllGlobals());
const answer = (text: string, init?: ResponseInit) => vi.stubGlobal('fetch', () => Promise.resolve(new Response(text, init)));

test('bodies come out as they were sent', async () => {
  answer('{"messages":[{"sequence":7,"sent":"2026-01-31T12:00:00Z","size":30,"labels":["eu"],"body":{"n": 9007199254740993},"attributes":{"p":1.0}}],"scanned":1,"next":"AQ"}');
  expect(await peek('p', 'q', {})).toEqual({ messages: [{ sequence: 7, sent: '2026-01-31T12:00:00Z', size: 30, labels: ['eu'], body: '{"n": 9007199254740993}', attributes: '{"p":1.0}' }], scanned: 1, next: 'AQ' });
});

test('deliveries keep their handler and their body', async () => {
  answer('[{"message":{"body":1.00,"tags":["a"]},"handler":"H","meta":{"sequence":1,"sent":"2026-01-31T12:00:00Z","delivery_count":2}}]');
  expect(await consume('p', 'q', { group: 'g', dead: false, most: 1, wait: 1, ackWait: 30 })).toEqual([{ handler: 'H', body: '1.00', tags: ['a'], meta: { sequence: 1, sent: '2026-01-31T12:00:00Z', delivery_count: 2 } }]);
});

test('a body is sent as it was typed', () => {
  expect(outgoing('q', [{ body: ' {"n":9007199254740993} ', tags: ['a'], delay: 1.5 }]).body).toBe('{"messages": [{"body": {"n":9007199254740993}, "tags": ["a"], "delay_time": 1500}]}');
});

test('an error has its code, its sentence and its request', async () => {
  answer('{"error_code":"DMS.10240401","error_msg":"the queue does not exist","code":"10240401","message":"m","request_id":"r-12345678"}', { status: 404 });
  await expect(send('p', { method: 'GET', path: '/queues/q' })).rejects.toMatchObject({ status: 404, code: 'DMS.10240401', message: 'the queue does not exist', requestId: 'r-12345678' });
  answer('<html>', { status: 502, headers: { 'X-Request-Id': 'edge-12345', 'Retry-After': '3' } });
  await expect(send('p', { method: 'GET', path: '/queues/q' })).rejects.toMatchObject({ status: 502, requestId: 'edge-12345', retryAfter: 3 });
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('network')));
  await expect(send('p', { method: 'GET', path: '/queues/q' })).rejects.toBeInstanceOf(ApiError);
});
