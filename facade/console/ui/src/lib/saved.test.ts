import { expect, test } from 'vitest';
import { put, read, without } from './saved';

test('what is kept is found by its name, once', () => {
  const list = put(put(put([], 'b', 1), 'a', 2), 'b', 3);
  expect(list).toEqual([{ name: 'a', value: 2 }, { name: 'b', value: 3 }]);
  expect(without(list, 'a')).toEqual([{ name: 'b', value: 3 }]);
  expect(read(JSON.stringify(list))).toEqual(list);
});

test('what somebody else has stored does no harm', () => {
  for (const text of [null, '', '{', '{}', '[1,null,{"name":1}]']) expect(read(text)).toEqual([]);
});
