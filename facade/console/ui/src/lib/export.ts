export interface Exported {
  sequence: number;
  id?: string;
  sent: string;
  labels: string[];
  body: string;
  attributes?: string;
}

/** ndjson writes one message in a line, with its body as it was sent but for line breaks between tokens. */
export function ndjson(messages: Exported[]): string {
  const flat = (json: string) => json.replace(/[\r\n]/g, ' ');
  return messages.map((m) => `{"sequence":${m.sequence},"id":${JSON.stringify(m.id ?? null)},"sent":${JSON.stringify(m.sent)},"labels":${JSON.stringify(m.labels)},"attributes":${flat(m.attributes ?? '{}')},"body":${flat(m.body)}}\n`).join('');
}

/** csv follows RFC 4180. What a spreadsheet would take for a formula is made a text. */
export function csv(header: string[], rows: (string | number)[][]): string {
  const cell = (v: string | number) => {
    let text = String(v);
    if (typeof v === 'string' && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  return [header, ...rows].map((r) => r.map(cell).join(',') + '\r\n').join('');
}

export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
