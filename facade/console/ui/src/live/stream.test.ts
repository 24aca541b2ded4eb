import { expect, test } from 'vitest';
import { Parser } from './stream';

test('events are found however the stream is cut', () => {
  const text = ': hello\n\nevent: queues\nid: 7\ndata: {"a":1}\ndata: 2\n\ndata:x\r\n\r\n:beat\n\nevent: jobs\ndata\n\n';
  const want = [
    { name: 'queues', data: '{"a":1}\n2', id: '7' },
    { name: 'message', data: 'x', id: '7' },
    { name: 'jobs', data: '', id: '7' },
  ];
  for (let size = 1; size < text.length; size++) {
    const parser = new Parser();
    const got = [];
    for (let at = 0; at < text.length; at += size) got.push(...parser.push(text.slice(at, at + size)));
    expect(got, `pieces of ${size}`).toEqual(want);
  }
});

test('half an event is no event', () => {
  expect(new Parser().push('event: queues\ndata: 1\n')).toEqual([]);
});
