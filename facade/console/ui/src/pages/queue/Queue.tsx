import Badge from '@cloudscape-design/components/badge';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, type ComponentType } from 'react';
import { useParams, useSearchParams } from 'react-router';
import { useFailure } from '../../api/failure';
import { showLatest, showQueue } from '../../api/queries';
import type { Queue } from '../../api/types';
import { PageHeader } from '../../app/page';
import { useProject } from '../../app/session';
import { useFormat } from '../../app/words';
import { useT, type Key } from '../../i18n';
import { useLive } from '../../live/live';
import { Copy } from '../../parts/copy';
import { Failure, failureTitle, Skeleton } from '../../parts/states';
import { Time } from '../../parts/text';
import { Tiles } from '../../parts/tiles';

export interface TabProps {
  queue: Queue;
}

const tabs: [string, Key, ComponentType<TabProps>][] = [
  ['monitoring', 'queue.monitoring', lazy(() => import('./Monitoring'))],
  ['messages', 'queue.messages', lazy(() => import('./Messages'))],
  ['test', 'queue.test', lazy(() => import('./Test'))],
  ['groups', 'queue.groups', lazy(() => import('./Groups'))],
  ['dead', 'queue.dead', lazy(() => import('./Dead'))],
  ['alarms', 'queue.alarms', lazy(() => import('./QueueAlarms'))],
  ['settings', 'queue.settings', lazy(() => import('./QueueSettings'))],
];

export default function QueuePage() {
  const t = useT();
  const f = useFormat();
  const live = useLive();
  const project = useProject();
  const { queue: id = '', sequence } = useParams();
  const [params, setParams] = useSearchParams();
  const tab = params.get('tab') ?? (sequence ? 'messages' : 'monitoring');
  const found = useQuery(showQueue(project, id));
  const latest = useQuery({ ...showLatest(project, id), refetchInterval: live.every(10_000), enabled: found.isSuccess });
  const above = [{ text: t('nav.queues'), path: '/queues' }];
  const failure = useFailure(found);
  if (!found.data) {
    return (
      <SpaceBetween size="l">
        <PageHeader title={t(failure ? failureTitle(failure) : 'state.loading')} above={above} />
        {failure ? <Failure error={failure} retry={() => void found.refetch()} /> : <Skeleton lines={6} />}
      </SpaceBetween>
    );
  }
  const queue = found.data;
  const figures = latest.data?.queues.get(id);
  const open = (to: string) => setParams(to === 'monitoring' ? {} : { tab: to });
  return (
    <SpaceBetween size="l">
      <PageHeader
        title={queue.name}
        above={above}
        info={<Badge color={queue.queue_mode === 'FIFO' ? 'blue' : 'grey'}>{t(`mode.${queue.queue_mode}`)}</Badge>}
        description={
          <>
            {queue.description && <>{queue.description}<br /></>}
            <Copy variant="inline" text={queue.id} label={t('queue.copyid')} /> · {t('queues.created')} <Time at={queue.created} />
          </>
        }
        actions={<Button variant="primary" onClick={() => open('test')}>{t('queue.testit')}</Button>}
      />
      <Tiles
        items={[
          { label: t('queues.messages'), value: f.short(queue.produced_messages) },
          { label: t('queues.waiting'), value: f.short(figures?.available) },
          { label: t('queues.inflight'), value: f.short(figures?.inFlight) },
          { label: t('queues.oldest'), value: f.duration(figures?.oldest) },
          { label: t('queues.dead'), value: queue.redrive_policy === 'enable' ? f.short(figures?.dead) : '–', alert: (figures?.dead ?? 0) > 0 },
          { label: t('queue.retention'), value: f.duration(queue.reservation * 60) },
        ]}
      />
      <Tabs
        activeTabId={tab}
        ariaLabel={queue.name}
        onChange={(e) => open(e.detail.activeTabId)}
        tabs={tabs.map(([tabId, key, Content]) => ({
          id: tabId,
          label: t(key),
          content: tab === tabId && (
            <Suspense fallback={<Skeleton lines={6} />}>
              <Content queue={queue} />
            </Suspense>
          ),
        }))}
      />
    </SpaceBetween>
  );
}
