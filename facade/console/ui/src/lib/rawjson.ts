// Reading JSON without changing it. Bodies of messages are shown byte for byte:
// JSON.parse would turn 9007199254740993 into 9007199254740992 and forget white space.
// The functions work on places in a text that is known to be valid JSON, do not recurse,
// and so take any depth.

export type Kind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

export interface Span {
  start: number;
  end: number;
}

export interface Member extends Span {
  key: string;
}

const space = (c: number) => c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;

export function skipSpace(text: string, at: number): number {
  while (at < text.length && space(text.charCodeAt(at))) at++;
  return at;
}

function stringEnd(text: string, at: number): number {
  for (at++; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === 0x5c) at++;
    else if (c === 0x22) return at + 1;
  }
  return text.length;
}

/** valueEnd returns the place behind the value that begins at a place. */
export function valueEnd(text: string, at: number): number {
  const first = text[at];
  if (first === '"') return stringEnd(text, at);
  if (first !== '{' && first !== '[') {
    while (at < text.length && !/[\s,\]}]/.test(text[at]!)) at++;
    return at;
  }
  let depth = 0;
  while (at < text.length) {
    const c = text[at];
    if (c === '"') {
      at = stringEnd(text, at);
      continue;
    }
    if (c === '{' || c === '[') depth++;
    else if (c === '}' || c === ']') {
      depth--;
      if (depth === 0) return at + 1;
    }
    at++;
  }
  return text.length;
}

export function kindAt(text: string, at: number): Kind {
  switch (text[at]) {
    case '{': return 'object';
    case '[': return 'array';
    case '"': return 'string';
    case 't': case 'f': return 'boolean';
    case 'n': return 'null';
    default: return 'number';
  }
}

/** members returns the members of the object, or the elements of the array, at a place. */
export function members(text: string, at = 0): Member[] {
  at = skipSpace(text, at);
  const object = text[at] === '{';
  if (!object && text[at] !== '[') return [];
  const found: Member[] = [];
  at = skipSpace(text, at + 1);
  while (at < text.length && text[at] !== '}' && text[at] !== ']') {
    let key = String(found.length);
    if (object) {
      const end = stringEnd(text, at);
      key = JSON.parse(text.slice(at, end)) as string;
      at = skipSpace(text, skipSpace(text, end) + 1);
    }
    const end = valueEnd(text, at);
    found.push({ key, start: at, end });
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return found;
}

/** member returns the text of one member of an object, as it was written. */
export function member(text: string, key: string): string | undefined {
  const m = members(text).find((m) => m.key === key);
  return m && text.slice(m.start, m.end);
}

/** pretty indents a JSON text and changes nothing else: numbers and escapes stay as they are. */
export function pretty(text: string): string {
  const out: string[] = [];
  let depth = 0;
  const line = () => out.push('\n', '  '.repeat(Math.min(depth, 100)));
  for (let at = skipSpace(text, 0); at < text.length; at = skipSpace(text, at)) {
    const c = text[at]!;
    if (c === '{' || c === '[') {
      const next = skipSpace(text, at + 1);
      if (text[next] === '}' || text[next] === ']') {
        out.push(c, text[next]!);
        at = next + 1;
        continue;
      }
      depth++;
      out.push(c);
      line();
      at++;
    } else if (c === '}' || c === ']') {
      depth--;
      line();
      out.push(c);
      at++;
    } else if (c === ',') {
      out.push(c);
      line();
      at++;
    } else if (c === ':') {
      out.push(': ');
      at++;
    } else {
      const end = c === '"' ? stringEnd(text, at) : valueEnd(text, at);
      out.push(text.slice(at, Math.max(end, at + 1)));
      at = Math.max(end, at + 1);
    }
  }
  return out.join('');
}

/** problem says why a text is not JSON, or nothing. */
export function problem(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (err) {
    return err instanceof Error ? err.message : String(err);
  }
}
