import type { Request } from '../lib/code';
import { member, members } from '../lib/rawjson';
import { json, send, type Options } from './http';
import type { Delivery, Message, MessageHistory } from './types';

// Bodies and attributes are cut out of the answers as they stand there.

function fields(text: string): Record<string, string> {
  return Object.fromEntries(members(text).map((m) => [m.key, text.slice(m.start, m.end)]));
}

function message(text: string): Message {
  const { body, attributes, ...rest } = fields(text);
  const known = Object.fromEntries(Object.entries(rest).map(([k, v]) => [k, JSON.parse(v) as unknown]));
  return { ...known, body: body ?? 'null', ...(attributes === undefined ? {} : { attributes }) } as Message;
}

export interface Page {
  messages: Message[];
  scanned: number;
  next?: string;
}

export interface Look {
  source?: string;
  group_id?: string;
  order?: string;
  from_sequence?: number;
  from_time?: string;
  limit?: number;
  cursor?: string;
  label?: string;
  attribute?: string;
  text?: string;
  filter?: string;
}

export function lookRequest(queue: string, look: Look): Request {
  return { method: 'GET', path: `/queues/${queue}/messages`, query: { ...look } };
}

/** peek looks at messages and consumes nothing. */
export async function peek(project: string, queue: string, look: Look, o?: Options): Promise<Page> {
  const text = await send(project, lookRequest(queue, look), o);
  const { messages: list = '[]', scanned = '0', next } = fields(text);
  return {
    messages: members(list).map((m) => message(list.slice(m.start, m.end))),
    scanned: Number(scanned),
    ...(next === undefined ? {} : { next: JSON.parse(next) as string }),
  };
}

export interface History {
  message: Message;
  groups: MessageHistory['groups'];
}

export async function history(project: string, queue: string, sequence: number, o?: Options): Promise<History> {
  const text = await send(project, { method: 'GET', path: `/queues/${queue}/messages/${sequence}` }, o);
  return { message: message(member(text, 'message') ?? '{}'), groups: JSON.parse(member(text, 'groups') ?? '[]') as MessageHistory['groups'] };
}

export interface Outgoing {
  body: string;
  attributes?: string;
  tags: string[];
  delay?: number;
}

/** outgoing writes the request for messages whose bodies are JSON texts. */
export function outgoing(queue: string, messages: Outgoing[]): Request {
  const one = (m: Outgoing) =>
    `{"body": ${m.body.trim()}` +
    (m.attributes ? `, "attributes": ${m.attributes.trim()}` : '') +
    (m.tags.length > 0 ? `, "tags": ${JSON.stringify(m.tags)}` : '') +
    (m.delay ? `, "delay_time": ${Math.round(m.delay * 1000)}` : '') +
    '}';
  return { method: 'POST', path: `/queues/${queue}/messages`, body: `{"messages": [${messages.map(one).join(', ')}]}` };
}

interface SendResult {
  messages: { state: number; error: string | null }[];
}

/** store sends messages; key makes a repetition harmless. */
export function store(project: string, r: Request, key: string): Promise<SendResult> {
  return json(project, r, { headers: { 'Idempotency-Key': key } });
}

export interface Consume {
  group: string;
  dead: boolean;
  most: number;
  wait: number;
  ackWait: number;
  tags?: string[];
}

export function consumeRequest(queue: string, c: Consume): Request {
  return {
    method: 'GET',
    path: `/queues/${queue}/groups/${c.group}/${c.dead ? 'deadletters' : 'messages'}`,
    query: { max_msgs: c.most, time_wait: c.wait, ack_wait: c.ackWait, include: 'meta', tag: c.tags?.join(',') },
  };
}

export async function consume(project: string, queue: string, c: Consume, o?: Options): Promise<Delivery[]> {
  const text = await send(project, consumeRequest(queue, c), o);
  return members(text).map((m) => {
    const { message: inner = '{}', handler = '""', meta } = fields(text.slice(m.start, m.end));
    const { body = 'null', attributes, tags } = fields(inner);
    return {
      handler: JSON.parse(handler) as string,
      body,
      tags: tags ? (JSON.parse(tags) as string[]) : [],
      ...(attributes === undefined ? {} : { attributes }),
      ...(meta === undefined ? {} : { meta: JSON.parse(meta) as NonNullable<Delivery['meta']> }),
    };
  });
}

export function ackRequest(queue: string, group: string, dead: boolean, handlers: string[], status: 'success' | 'fail', reason?: string): Request {
  const message = handlers.map((handler) => ({ handler, status, ...(status === 'fail' && reason ? { reason } : {}) }));
  return { method: 'POST', path: `/queues/${queue}/groups/${group}/${dead ? 'deadletters/' : ''}ack`, body: JSON.stringify({ message }) };
}
