// Server-sent events, read with fetch: unlike EventSource it tells the status of a refusal,
// and comments count as a sign of life, so that a silent connection is noticed.

export interface Event {
  name: string;
  data: string;
  id?: string;
}

/** Parser takes a stream piece by piece. */
export class Parser {
  private rest = '';
  private name = '';
  private data: string[] = [];
  private id: string | undefined;

  push(text: string): Event[] {
    const found: Event[] = [];
    this.rest += text;
    const lines = this.rest.split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (this.data.length > 0 || this.name) found.push({ name: this.name || 'message', data: this.data.join('\n'), ...(this.id === undefined ? {} : { id: this.id }) });
        this.name = '';
        this.data = [];
        continue;
      }
      if (line.startsWith(':')) continue;
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') this.name = value;
      else if (field === 'data') this.data.push(value);
      else if (field === 'id') this.id = value;
    }
    return found;
  }
}

export class Refused extends Error {
  constructor(readonly status: number) {
    super(`status ${status}`);
  }
}

export interface Listener {
  open: () => void;
  event: (e: Event) => void;
}

/** Silence that means that the connection is dead; the service says something every 15 s. */
export const silence = 25_000;

/** listen reads one stream to its end. It throws when it is refused, dead or aborted. */
export async function listen(url: string, lastId: string | undefined, l: Listener, signal: AbortSignal): Promise<void> {
  const dead = new AbortController();
  const stop = () => dead.abort();
  signal.addEventListener('abort', stop);
  let timer = setTimeout(stop, silence);
  try {
    const response = await fetch(url, {
      headers: { Accept: 'text/event-stream', ...(lastId === undefined ? {} : { 'Last-Event-ID': lastId }) },
      credentials: 'same-origin',
      cache: 'no-store',
      signal: dead.signal,
    });
    if (!response.ok || !response.body) throw new Refused(response.status);
    if (!(response.headers.get('Content-Type') ?? '').startsWith('text/event-stream')) throw new Refused(404);
    l.open();
    const parser = new Parser();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(stop, silence);
      for (const e of parser.push(decoder.decode(value, { stream: true }))) l.event(e);
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}
