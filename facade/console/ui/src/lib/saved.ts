/** Something that somebody keeps under a name, in this browser. */
export interface Saved<T> {
  name: string;
  value: T;
}

const most = 50;

/** put keeps a value, in place of one with the same name. */
export function put<T>(list: Saved<T>[], name: string, value: T): Saved<T>[] {
  return [...list.filter((s) => s.name !== name), { name, value }].sort((a, b) => a.name.localeCompare(b.name)).slice(0, most);
}

export function without<T>(list: Saved<T>[], name: string): Saved<T>[] {
  return list.filter((s) => s.name !== name);
}

/** read makes a list of what was stored, whatever that is. */
export function read<T>(text: string | null): Saved<T>[] {
  try {
    const list: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(list) ? (list as Saved<T>[]).filter((s) => typeof s?.name === 'string' && 'value' in s) : [];
  } catch {
    return [];
  }
}
