// Characters that cannot be seen, or that change how others are shown, are given names,
// so that a message cannot look like another one.

const names: Record<number, string> = {
  0x7f: 'DEL', 0x85: 'NEL', 0xa0: 'NBSP', 0xad: 'SHY', 0x61c: 'ALM',
  0x200b: 'ZWSP', 0x200c: 'ZWNJ', 0x200d: 'ZWJ', 0x200e: 'LRM', 0x200f: 'RLM',
  0x2028: 'LSEP', 0x2029: 'PSEP', 0x202a: 'LRE', 0x202b: 'RLE', 0x202c: 'PDF', 0x202d: 'LRO', 0x202e: 'RLO',
  0x2060: 'WJ', 0x2066: 'LRI', 0x2067: 'RLI', 0x2068: 'FSI', 0x2069: 'PDI', 0xfeff: 'BOM', 0xfffd: 'REPL',
};
const low = 'NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US'.split(' ');

// Line feeds and tabs are left alone: they are seen for what they are.
// eslint-disable-next-line no-control-regex
const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffd]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

export interface Piece {
  text: string;
  /** Name of a character that is not shown itself, such as ESC. */
  name?: string;
}

export function characterName(code: number): string {
  return low[code] ?? names[code] ?? 'U+' + code.toString(16).toUpperCase().padStart(4, '0');
}

/** pieces splits a text into what can be shown and named characters. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(hidden)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push({ text: match[0], name: characterName(match[0].charCodeAt(0)) });
    from = match.index + match[0].length;
  }
  if (from < text.length || found.length === 0) found.push({ text: text.slice(from) });
  return found;
}

/** oneLine makes a text fit into a row of a table. */
export function oneLine(text: string, most: number): string {
  const start = text.slice(0, most * 2).replace(/\s+/g, ' ').trim();
  return start.length > most || text.length > most * 2 ? start.slice(0, most) + '…' : start;
}
