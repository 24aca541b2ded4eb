import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { operations } from './operations';

const yaml = readFileSync(new URL('../../../../openapi.yaml', import.meta.url), 'utf8');

test('every operation of the document is found, with its words', () => {
  const found = operations(yaml);
  expect(found.length).toBe(yaml.match(/^ {6}operationId: /gm)!.length);
  for (const o of found) expect(o.id && o.summary && o.tag, JSON.stringify(o)).toBeTruthy();
  expect(found[0]).toEqual({ id: 'createQueue', method: 'POST', path: '/{project_id}/queues', summary: 'Create a queue', tag: 'queues' });
});
