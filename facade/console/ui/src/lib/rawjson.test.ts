import { expect, test } from 'vitest';
import { kindAt, member, members, pretty, problem, valueEnd } from './rawjson';

test('numbers, escapes and order survive being made pretty', () => {
  const body = '{"b":9007199254740993,"a":[1.0,1e400,-0],"s":"\\u0000\\"}{,:","e":{},"l":[ ]}';
  const shown = pretty(body);
  expect(shown).toBe('{\n  "b": 9007199254740993,\n  "a": [\n    1.0,\n    1e400,\n    -0\n  ],\n  "s": "\\u0000\\"}{,:",\n  "e": {},\n  "l": []\n}');
  expect(JSON.parse(shown)).toEqual(JSON.parse(body));
});

test('pretty twice is pretty once', () => {
  for (const body of ['1', '"x"', 'null', '[]', '[[],{}]', '{"a":{"b":[true,false,null]}}']) expect(pretty(pretty(body))).toBe(pretty(body));
});

test('members are found where they are', () => {
  const text = ' {"a" : {"x":[1,2]} , "q\\"":"}" ,"n":-1.5e3}';
  expect(members(text).map((m) => [m.key, text.slice(m.start, m.end)])).toEqual([['a', '{"x":[1,2]}'], ['q"', '"}"'], ['n', '-1.5e3']]);
  expect(member(text, 'a')).toBe('{"x":[1,2]}');
  expect(member(text, 'none')).toBeUndefined();
  expect(members('[ 1 , "a",[] ]').map((m) => m.key)).toEqual(['0', '1', '2']);
  expect(members('"text"')).toEqual([]);
});

test('depth and length do not matter', () => {
  const deep = '['.repeat(1000) + ']'.repeat(1000);
  expect(valueEnd(deep, 0)).toBe(2000);
  expect(pretty(deep).split('\n').length).toBe(1999);
  const long = `{"text":"${'x'.repeat(512 * 1024)}"}`;
  expect(member(long, 'text')?.length).toBe(512 * 1024 + 2);
});

test('kinds are told by the first character', () => {
  expect(['{}', '[]', '""', '1', '-1', 'true', 'null'].map((t) => kindAt(t, 0))).toEqual(['object', 'array', 'string', 'number', 'number', 'boolean', 'null']);
});

test('what is not JSON has a problem', () => {
  expect(problem('{"a":1}')).toBeUndefined();
  expect(problem('{a:1}')).toBeTruthy();
  expect(problem('')).toBeTruthy();
});
