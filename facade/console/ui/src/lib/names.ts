export const queueName = /^[A-Za-z0-9_-]{1,64}$/;
export const groupName = /^[A-Za-z0-9_-]{1,32}$/;

/** suggest makes a name that is probably free, as the console of old did. */
export function suggest(prefix: string, random: () => number = Math.random): string {
  return `${prefix}-${Math.floor(random() * 36 ** 5).toString(36).padStart(5, '0')}`;
}
