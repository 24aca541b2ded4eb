export interface Difference {
  kind: 'same' | 'gone' | 'new';
  text: string;
}

/** Lines in the middle beyond which the two are shown whole, one after the other. */
const most = 2000;

/** diff tells what of one text, line by line, is another's (longest common subsequence). */
export function diff(before: string, after: string): Difference[] {
  const a = before.split('\n');
  const b = after.split('\n');
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const [x, y] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const line = (kind: Difference['kind']) => (text: string): Difference => ({ kind, text });
  const middle: Difference[] = [];
  if (x.length > most || y.length > most) middle.push(...x.map(line('gone')), ...y.map(line('new')));
  else {
    // common[i][j] is how many lines what follows i and j has in common.
    const common = Array.from({ length: x.length + 1 }, () => new Uint16Array(y.length + 1));
    for (let i = x.length - 1; i >= 0; i--) for (let j = y.length - 1; j >= 0; j--) common[i]![j] = x[i] === y[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!);
    let [i, j] = [0, 0];
    while (i < x.length || j < y.length) {
      if (i < x.length && j < y.length && x[i] === y[j]) middle.push(line('same')(x[i]!)), i++, j++;
      else if (j >= y.length || (i < x.length && common[i + 1]![j]! >= common[i]![j + 1]!)) middle.push(line('gone')(x[i++]!));
      else middle.push(line('new')(y[j++]!));
    }
  }
  return [...a.slice(0, start).map(line('same')), ...middle, ...a.slice(a.length - end).map(line('same'))];
}
