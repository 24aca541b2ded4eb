import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { curl, go, goString, python, queryString, shellQuote, terraform } from './code';

const hostile = ["it's", '$(touch x)', '`id`', '"', '\\', '\n', 'é\u202e', "'; rm -rf / #", '', '-e'];

test('a shell takes quoted texts as they are', () => {
  for (const text of hostile) expect(execFileSync('sh', ['-c', `printf %s ${shellQuote(text)}`], { encoding: 'utf8' })).toBe(text);
});

test('a shell gives curl the very request', () => {
  for (const text of hostile) {
    const body = JSON.stringify({ messages: [{ body: text }] });
    const script = `curl() { for a in "$@"; do printf '%s\\0' "$a"; done; }\n` + curl({ method: 'POST', path: '/queues/q/messages', query: { text }, body });
    const got = execFileSync('sh', ['-c', script], { encoding: 'utf8', env: { DMS_ENDPOINT: 'http://h', DMS_PROJECT_ID: 'p', DMS_TOKEN: 't' } }).split('\0').slice(0, -1);
    expect(got).toEqual(['-sS', '-X', 'POST', 'http://h/v2/p/queues/q/messages' + queryString({ text }), '-H', 'X-Auth-Token: t', '-H', 'Content-Type: application/json', '--data-binary', body]);
  }
});

test('no code holds a secret, and operators have their own paths', () => {
  const r = { method: 'GET', path: '/admin/v1/projects' } as const;
  for (const code of [curl(r), go(r), python(r)]) {
    expect(code).toContain('DMS_TOKEN');
    expect(code).not.toContain('DMS_PROJECT_ID');
  }
});

test('strings of Go hold what Go can hold', () => {
  expect(goString('{"a":1}')).toBe('`{"a":1}`');
  expect(goString('a`b')).toBe('"a`b"');
});

test('parameters without a value are left out', () => {
  expect(queryString({ a: 1, b: undefined, c: 'x y', d: '' })).toBe('?a=1&c=x%20y');
  expect(queryString({})).toBe('');
});

test('Terraform has the queue and its groups', () => {
  expect(terraform({ name: 'orders', queue_mode: 'FIFO', description: '${x}', redrive_policy: 'enable', max_consume_count: 5, groups: ['billing'] })).toBe(`resource "opentelekomcloud_dms_queue_v1" "orders" {
  name              = "orders"
  queue_mode        = "FIFO"
  description       = "$\${x}"
  redrive_policy    = "enable"
  max_consume_count = 5
}

resource "opentelekomcloud_dms_group_v1" "orders_billing" {
  name     = "billing"
  queue_id = opentelekomcloud_dms_queue_v1.orders.id
}
`);
});
