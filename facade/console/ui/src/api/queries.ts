import { queryOptions } from '@tanstack/react-query';
import { latest, over, type Range } from './figures';
import { overlay } from '../live/patch';
import { json } from './http';
import type { AccessKey, Alarm, AlarmHistory, AuditList, AuditReport, GroupList, Job, Project, Queue, QueueList, QuotaList, Tag } from './types';

// The first member of a key says what has to change for the answer to change; the live
// events go by it.

export const listQueues = (project: string) =>
  queryOptions({
    queryKey: ['queues', project],
    queryFn: ({ signal }) => json<QueueList>(project, { method: 'GET', path: '/queues', query: { include_deadletter: 'true' } }, { signal }),
    placeholderData: (before) => before,
  });

export const showQueue = (project: string, queue: string) =>
  queryOptions({
    queryKey: ['queue', project, queue],
    queryFn: ({ signal }) => json<Queue>(project, { method: 'GET', path: `/queues/${encodeURIComponent(queue)}`, query: { include_deadletter: 'true' } }, { signal }),
  });

export const listGroups = (project: string, queue: string) =>
  queryOptions({
    queryKey: ['groups', project, queue],
    queryFn: ({ signal }) => json<GroupList>(project, { method: 'GET', path: `/queues/${encodeURIComponent(queue)}/groups`, query: { include_deadletter: 'true' } }, { signal }),
  });

export const showLatest = (project: string, queue?: string) =>
  queryOptions({
    queryKey: ['latest', project, queue ?? ''],
    queryFn: async ({ signal, client }) => overlay(client, project, await latest(project, queue, { signal }), queue),
  });

export const showRange = (project: string, range: Range) =>
  queryOptions({ queryKey: ['range', project, range], queryFn: ({ signal }) => over(project, range, { signal }), placeholderData: (before) => before });

export const listAlarms = (project: string) =>
  queryOptions({
    queryKey: ['alarms', project],
    queryFn: ({ signal }) => json<{ total: number; alarms: Alarm[] }>(project, { method: 'GET', path: '/alarms' }, { signal }),
  });

export const alarmHistory = (project: string, alarm: string) =>
  queryOptions({
    queryKey: ['alarms', project, alarm, 'history'],
    queryFn: ({ signal }) => json<AlarmHistory>(project, { method: 'GET', path: `/alarms/${alarm}/history` }, { signal }),
  });

export const listJobs = (project: string, queue?: string) =>
  queryOptions({
    queryKey: ['jobs', project, queue ?? ''],
    queryFn: ({ signal }) => json<{ jobs: Job[] }>(project, { method: 'GET', path: '/jobs', query: { queue_id: queue } }, { signal }),
  });

export const listKeys = (project: string) =>
  queryOptions({
    queryKey: ['keys', project],
    queryFn: ({ signal }) => json<{ access_keys: AccessKey[]; total: number }>(project, { method: 'GET', path: '/access-keys' }, { signal }),
  });

export const showQuota = (project: string) =>
  queryOptions({
    queryKey: ['quota', project],
    queryFn: ({ signal }) => json<QuotaList>(project, { method: 'GET', path: '/quotas/dms' }, { signal }),
  });

export const queueTags = (project: string, queue: string) =>
  queryOptions({
    queryKey: ['tags', project, queue],
    queryFn: ({ signal }) => json<{ tags: Tag[] }>(project, { method: 'GET', path: `/queue/${queue}/tags` }, { signal }),
  });

export interface AuditFilter {
  from?: string;
  to?: string;
  action?: string;
  actor?: string;
}

export const auditRoot = (service: boolean) => (service ? '/admin/v1/audit' : '/audit');

export const auditPage = (project: string, service: boolean, filter: AuditFilter, cursor?: string) =>
  json<AuditList>(project, { method: 'GET', path: auditRoot(service), query: { ...filter, limit: 100, cursor } });

export const verifyAudit = (project: string, service: boolean) => json<AuditReport>(project, { method: 'GET', path: auditRoot(service) + '/verify' });

export const listProjects = () =>
  queryOptions({
    queryKey: ['projects'],
    queryFn: async ({ signal }) => {
      const all: Project[] = [];
      for (let cursor: string | undefined, page = 0; page < 20; page++) {
        const found = await json<{ projects: Project[]; next?: string }>('', { method: 'GET', path: '/admin/v1/projects', query: { limit: 200, cursor } }, { signal });
        all.push(...found.projects);
        cursor = found.next;
        if (!cursor) break;
      }
      return all;
    },
  });
