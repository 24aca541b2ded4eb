export interface HexRow {
  offset: string;
  bytes: string;
  text: string;
}

/** hexRows shows bytes as hexadecimal numbers, 16 in a row. */
export function hexRows(bytes: Uint8Array, from = 0, to = bytes.length): HexRow[] {
  const rows: HexRow[] = [];
  for (let at = from; at < Math.min(to, bytes.length); at += 16) {
    const part = bytes.subarray(at, Math.min(at + 16, bytes.length));
    const numbers = Array.from(part, (b) => b.toString(16).padStart(2, '0'));
    rows.push({
      offset: at.toString(16).padStart(8, '0'),
      bytes: numbers.slice(0, 8).join(' ').padEnd(23) + '  ' + numbers.slice(8).join(' ').padEnd(23),
      text: Array.from(part, (b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.')).join(''),
    });
  }
  return rows;
}
