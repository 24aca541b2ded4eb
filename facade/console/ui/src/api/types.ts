import type { components } from './schema';

type Schemas = components['schemas'];

export type Queue = Schemas['Queue'];
export type QueueList = Schemas['QueueList'];
export type NewQueue = Schemas['NewQueue'];
export type QueueChange = Schemas['QueueChange'];
export type GroupList = Schemas['GroupList'];
export type Group = GroupList['groups'][number];
export type DeletedQueues = Schemas['DeletedQueues'];
export type MessageHistory = Schemas['MessageHistory'];
export type DeadLetter = Schemas['DeadLetter'];
export type Purged = Schemas['Purged'];
export type Move = Schemas['Move'];
export type MoveResult = Schemas['MoveResult'];
export type Redrive = Schemas['Redrive'];
export type Job = Schemas['Job'];
export type Alarm = Schemas['Alarm'];
export type NewAlarm = Schemas['NewAlarm'];
export type AlarmHistory = Schemas['AlarmHistory'];
export type AccessKey = Schemas['AccessKey'];
export type AccessKeyWithSecret = Schemas['AccessKeyWithSecret'];
export type NewAccessKey = Schemas['NewAccessKey'];
export type AuditList = Schemas['AuditList'];
export type AuditRecord = Schemas['AuditRecord'];
export type AuditReport = Schemas['AuditReport'];
export type QuotaList = Schemas['QuotaList'];
export type Project = Schemas['Project'];
export type ProjectList = Schemas['ProjectList'];
export type Role = Schemas['Role'];
export type Metrics = Extract<Schemas['Metrics'], { series: unknown }>;
export type Series = Metrics['series'][number];
export type Tag = Schemas['Tag'];

/** A message that was looked at, with body and attributes as they were sent. */
export type Message = Omit<Schemas['PeekedMessage'], 'body' | 'attributes'> & { body: string; attributes?: string };

/** A message that was consumed, with body and attributes as they were sent. */
export interface Delivery {
  handler: string;
  body: string;
  attributes?: string;
  tags: string[];
  meta?: Schemas['DeliveryMeta'];
}

/** Who is signed in; the answer of the console's own endpoint. */
export interface Session {
  subject: string;
  name: string;
  projects: { id: string; name: string; roles: Role[] }[];
  operator?: boolean;
  /** When it ends if nothing is done. */
  expires_at: string;
  providers?: Provider[];
}

export interface Provider {
  id: string;
  name: string;
}
