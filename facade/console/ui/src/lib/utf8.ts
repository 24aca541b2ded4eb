/** firstBad returns the place of the first byte that no UTF-8 text can have there, or nothing. */
export function firstBad(bytes: Uint8Array): number | undefined {
  const whole = (part: Uint8Array, more: boolean) => {
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(part, { stream: more });
      return true;
    } catch {
      return false;
    }
  };
  if (whole(bytes, false)) return undefined;
  // The longest beginning that could go on ends before the byte that is wrong.
  let [good, bad] = [0, bytes.length + 1];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (middle <= bytes.length && whole(bytes.subarray(0, middle), true)) good = middle;
    else bad = middle;
  }
  return good;
}
