export interface Operation {
  id: string;
  method: string;
  path: string;
  summary: string;
  tag: string;
}

/**
 * operations finds the calls in the service's OpenAPI document. It is no reader of YAML: it knows how
 * that one document is laid out, with paths at two spaces and methods at four.
 */
export function operations(yaml: string): Operation[] {
  const found: Operation[] = [];
  let path = '';
  let at: Operation | null = null;
  let inside = false;
  for (const line of yaml.split('\n')) {
    if (/^\S/.test(line)) inside = line.startsWith('paths:');
    if (!inside) continue;
    const place = /^ {2}(\/\S*):\s*$/.exec(line);
    if (place) {
      path = place[1]!;
      at = null;
      continue;
    }
    const method = /^ {4}(get|post|put|patch|delete):\s*$/.exec(line);
    if (method) {
      at = { id: '', method: method[1]!.toUpperCase(), path, summary: '', tag: '' };
      found.push(at);
      continue;
    }
    if (/^ {4}\S/.test(line)) at = null;
    const field = /^ {6}(operationId|summary|tags): (.*)$/.exec(line);
    if (!at || !field) continue;
    const text = field[2]!.replace(/^['"]|['"]$/g, '');
    if (field[1] === 'operationId') at.id = text;
    else if (field[1] === 'summary') at.summary = text;
    else at.tag = text.replace(/^\[|\]$/g, '').split(',')[0]!.trim();
  }
  return found;
}
