// Requests as code. Everything that the console does is a request of the public API; this
// shows it, with variables for the address, the project and the token, never with their
// values.

export interface Request {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path below the project, such as /queues; or from the root if it begins with /admin. */
  path: string;
  query?: Record<string, string | number | undefined>;
  /** Body as JSON text. */
  body?: string;
}

export const languages = ['curl', 'go', 'python'] as const;
export type Language = (typeof languages)[number] | 'terraform';

/** shellQuote makes one word of a POSIX shell of any text. */
export function shellQuote(text: string): string {
  return "'" + text.replaceAll("'", `'\\''`) + "'";
}

/** queryString encodes parameters; those without a value are left out. */
export function queryString(query: Request['query']): string {
  const pairs = Object.entries(query ?? {}).filter(([, v]) => v !== undefined && v !== '');
  if (pairs.length === 0) return '';
  return '?' + pairs.map(([k, v]) => encodeURIComponent(k) + '=' + encodeURIComponent(String(v))).join('&');
}

function target(r: Request): { prefix: string; rest: string } {
  const rest = r.path + queryString(r.query);
  return r.path.startsWith('/admin') ? { prefix: '', rest } : { prefix: '/v2/', rest };
}

export function curl(r: Request): string {
  const { prefix, rest } = target(r);
  const url = prefix ? `"$DMS_ENDPOINT/v2/$DMS_PROJECT_ID"${shellQuote(rest)}` : `"$DMS_ENDPOINT"${shellQuote(rest)}`;
  const lines = [`curl -sS -X ${r.method} ${url}`, `  -H "X-Auth-Token: $DMS_TOKEN"`];
  if (r.body !== undefined) lines.push(`  -H 'Content-Type: application/json'`, `  --data-binary ${shellQuote(r.body)}`);
  return lines.join(' \\\n');
}

/** goString writes a text as a string of Go: raw where that is possible. */
export function goString(text: string): string {
  return /^[^`\r\u0000\ufeff]*$/.test(text) ? '`' + text + '`' : JSON.stringify(text).replace(/\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})/gi, (_, hi: string, lo: string) => String.fromCharCode(parseInt(hi, 16), parseInt(lo, 16)));
}

export function go(r: Request): string {
  const { prefix, rest } = target(r);
  const url = prefix ? `os.Getenv("DMS_ENDPOINT") + "/v2/" + os.Getenv("DMS_PROJECT_ID") + ${goString(rest)}` : `os.Getenv("DMS_ENDPOINT") + ${goString(rest)}`;
  const body = r.body === undefined ? 'nil' : `strings.NewReader(${goString(r.body)})`;
  return `package main

import (
	"io"
	"log"
	"net/http"
	"os"
${r.body === undefined ? '' : '\t"strings"\n'})

func main() {
	req, err := http.NewRequest("${r.method}", ${url}, ${body})
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", os.Getenv("DMS_TOKEN"))
${r.body === undefined ? '' : '\treq.Header.Set("Content-Type", "application/json")\n'}	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		log.Fatal(err)
	}
}
`;
}

export function python(r: Request): string {
  const { prefix, rest } = target(r);
  const url = prefix ? `os.environ["DMS_ENDPOINT"] + "/v2/" + os.environ["DMS_PROJECT_ID"] + ${JSON.stringify(rest)}` : `os.environ["DMS_ENDPOINT"] + ${JSON.stringify(rest)}`;
  const headers = r.body === undefined ? '{"X-Auth-Token": os.environ["DMS_TOKEN"]}' : '{"X-Auth-Token": os.environ["DMS_TOKEN"], "Content-Type": "application/json"}';
  return `import os
import urllib.request

request = urllib.request.Request(
    ${url},
    method="${r.method}",
    headers=${headers},
${r.body === undefined ? '' : `    data=${JSON.stringify(r.body)}.encode(),\n`})
with urllib.request.urlopen(request) as response:
    print(response.read().decode())
`;
}

export interface QueuePlan {
  name: string;
  queue_mode: string;
  description?: string;
  redrive_policy?: string;
  max_consume_count?: number;
  groups: string[];
}

// HCL gives ${ and %{ a meaning inside strings.
const hcl = (text: string) => JSON.stringify(text).replace(/([$%])\{/g, '$1$1{');

/** terraform writes a queue and its groups in the resources of the providers of the time. */
export function terraform(q: QueuePlan): string {
  const label = q.name.replace(/[^A-Za-z0-9_-]/g, '_').replace(/^(?=[0-9-])/, '_') || 'queue';
  const pairs: [string, string][] = [['name', hcl(q.name)], ['queue_mode', hcl(q.queue_mode)]];
  if (q.description) pairs.push(['description', hcl(q.description)]);
  if (q.redrive_policy === 'enable') pairs.push(['redrive_policy', '"enable"'], ['max_consume_count', String(q.max_consume_count ?? 3)]);
  const block = (head: string, of: [string, string][]) => {
    const wide = Math.max(...of.map(([k]) => k.length));
    return `${head} {\n${of.map(([k, v]) => `  ${k.padEnd(wide)} = ${v}`).join('\n')}\n}\n`;
  };
  return [
    block(`resource "opentelekomcloud_dms_queue_v1" ${hcl(label)}`, pairs),
    ...q.groups.map((g) => block(`resource "opentelekomcloud_dms_group_v1" ${hcl(label + '_' + g)}`, [['name', hcl(g)], ['queue_id', `opentelekomcloud_dms_queue_v1.${label}.id`]])),
  ].join('\n');
}
