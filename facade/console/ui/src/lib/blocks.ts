const size = 8192;

/**
 * blocks cuts a long text into parts of some thousand characters, at line breaks where there are any,
 * so that a browser need not lay out what is not seen. Together they are the text.
 */
export function blocks(text: string): string[] {
  const found: string[] = [];
  for (let at = 0; at < text.length; ) {
    let end = Math.min(at + size, text.length);
    if (end < text.length) {
      const line = text.lastIndexOf('\n', end - 1);
      if (line > at) end = line + 1;
      else if (/[\ud800-\udbff]/.test(text[end - 1]!)) end--; // not between the halves of a pair
    }
    found.push(text.slice(at, end));
    at = end;
  }
  return found;
}
