import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate, useParams } from 'react-router';
import { json } from '../api/http';
import { peek } from '../api/messages';
import { useFailure } from '../api/failure';
import { listGroups, showLatest, showQueue } from '../api/queries';
import type { Purged } from '../api/types';
import { useFlash } from '../app/flash';
import { PageHeader } from '../app/page';
import { useWho } from '../app/session';
import { useFormat } from '../app/words';
import { useT } from '../i18n';
import { useLive } from '../live/live';
import { Charts } from '../parts/charts';
import { Copy } from '../parts/copy';
import { Dialog } from '../parts/dialog';
import { Failure, failureTitle, NotFound, Skeleton } from '../parts/states';
import { Line, Num, Time } from '../parts/text';
import { Tiles } from '../parts/tiles';
import { DeleteGroup, never } from './queue/Groups';
import { Reset } from './Reset';

export default function GroupPage() {
  const t = useT();
  const f = useFormat();
  const go = useNavigate();
  const live = useLive();
  const { can, project } = useWho();
  const { queue: queueId = '', group: groupId = '' } = useParams();
  const [open, setOpen] = useState<'reset' | 'delete' | 'purge' | null>(null);
  const queue = useQuery(showQueue(project.id, queueId));
  const groups = useQuery({ ...listGroups(project.id, queueId), enabled: queue.isSuccess });
  const latest = useQuery({ ...showLatest(project.id, queueId), refetchInterval: live.every(10_000), enabled: queue.isSuccess });
  const group = groups.data?.groups.find((g) => g.id === groupId);
  const above = [{ text: t('nav.queues'), path: '/queues' }, ...(queue.data ? [{ text: queue.data.name, path: `/queues/${queueId}` }, { text: t('queue.groups'), path: `/queues/${queueId}?tab=groups` }] : [])];
  const queueFailure = useFailure(queue);
  const groupsFailure = useFailure(groups);
  const error = queueFailure ?? groupsFailure;
  if (error || !queue.data || !group) {
    return (
      <SpaceBetween size="l">
        <PageHeader title={t(error ? failureTitle(error) : groups.data ? 'state.notfound' : 'state.loading')} above={above} />
        {error ? <Failure error={error} retry={() => void (queueFailure ? queue.refetch() : groups.refetch())} /> : groups.data ? <NotFound /> : <Skeleton lines={6} />}
      </SpaceBetween>
    );
  }
  const figures = latest.data?.queues.get(queueId)?.groups.get(groupId);
  const dead = queue.data.redrive_policy === 'enable';
  return (
    <SpaceBetween size="l">
      <PageHeader
        title={group.name}
        above={above}
        description={<Copy variant="inline" text={group.id} label={t('queue.copyid')} />}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button disabled={!can('manage')} onClick={() => setOpen('delete')}>{t('groups.delete')}</Button>
            <Button disabled={!can('manage')} onClick={() => setOpen('purge')}>{t('groups.purge')}</Button>
            <Button disabled={!can('manage')} onClick={() => setOpen('reset')}>{t('groups.reset')}</Button>
            <Button variant="primary" disabled={!can('consume')} onClick={() => void go(`/queues/${queueId}?tab=test`, { state: { group: groupId } })}>{t('groups.test')}</Button>
          </SpaceBetween>
        }
      />
      <Tiles
        items={[
          { label: t('groups.available'), value: f.short(group.available_messages) },
          { label: t('groups.inflight'), value: f.short(figures?.inFlight) },
          { label: t('groups.oldest'), value: f.duration(figures?.oldest) },
          { label: t('groups.drain'), value: (figures?.drain ?? 0) >= never ? <span className="small">{t('groups.growing')}</span> : f.duration(figures?.drain) },
          { label: t('groups.consumed'), value: f.short(group.consumed_messages) },
          { label: t('groups.dead'), value: dead ? f.short(group.available_deadletters) : '–', alert: (group.available_deadletters ?? 0) > 0 },
        ]}
      />
      <Charts queue={queueId} group={groupId} retention={queue.data.reservation * 60} />
      {can('inspect') && <InFlight queue={queueId} group={groupId} />}
      {open === 'reset' && <Reset queue={queueId} group={group} onClose={() => setOpen(null)} />}
      {open === 'delete' && <DeleteGroup queue={queueId} group={group} onClose={() => setOpen(null)} onDeleted={() => void go(`/queues/${queueId}?tab=groups`)} />}
      {open === 'purge' && <SkipBacklog queue={queueId} group={group} onClose={() => setOpen(null)} />}
    </SpaceBetween>
  );
}

function InFlight({ queue, group }: { queue: string; group: string }) {
  const t = useT();
  const f = useFormat();
  const live = useLive();
  const { project } = useWho();
  const found = useQuery({ queryKey: ['groups', project.id, queue, group, 'flight'], queryFn: ({ signal }) => peek(project.id, queue, { source: 'in_flight', group_id: group, limit: 50 }, { signal }), refetchInterval: live.every(5000) });
  return (
    <Container header={<Header variant="h2">{t('group.inflight')}</Header>}>
      {found.error ? <Failure error={found.error} retry={() => void found.refetch()} /> : (
        <Table
          variant="embedded"
          items={found.data?.messages ?? []}
          trackBy={(m) => String(m.sequence)}
          loading={found.isPending}
          loadingText={t('state.loading')}
          ariaLabels={{ tableLabel: t('group.inflight') }}
          columnDefinitions={[
            { id: 'sequence', header: t('peek.sequence'), cell: (m) => <Num>{f.count(m.sequence)}</Num>, isRowHeader: true, width: 100 },
            { id: 'until', header: t('group.held'), cell: (m) => <Time at={m.leased_until} />, width: 200 },
            { id: 'sent', header: t('viewer.sent'), cell: (m) => <Time at={m.sent} />, width: 200 },
            { id: 'body', header: t('peek.body'), cell: (m) => <Line text={m.body} />, minWidth: 260 },
          ]}
          empty={t('group.noflight')}
        />
      )}
    </Container>
  );
}

function SkipBacklog({ queue, group, onClose }: { queue: string; group: { id: string; name: string }; onClose: () => void }) {
  const t = useT();
  const { project } = useWho();
  const client = useQueryClient();
  const flash = useFlash();
  const path = `/queues/${queue}/purge`;
  const body = { source: 'backlog', group_id: group.id };
  const dry = useQuery({ queryKey: ['dry', project.id, path, group.id], queryFn: ({ signal }) => json<Purged>(project.id, { method: 'POST', path, body: JSON.stringify({ ...body, dry_run: true }) }, { signal }) });
  const request = { method: 'POST', path, body: JSON.stringify(body) } as const;
  const run = async () => {
    const done = await json<Purged>(project.id, request);
    flash({ type: 'success', content: t('groups.purged', { n: done.messages }) });
    await client.invalidateQueries({ queryKey: ['groups'] });
  };
  return (
    <Dialog title={`${t('groups.purge')} ${group.name}`} act={t('settings.purge')} word={group.name} code={{ request }} disabled={!dry.data?.messages} run={run} onClose={onClose}>
      {dry.error ? <Failure error={dry.error} retry={() => void dry.refetch()} /> : <span aria-live="polite">{dry.data ? t('settings.purgecount', { n: dry.data.messages }) : t('redrive.counting')}</span>}
    </Dialog>
  );
}
