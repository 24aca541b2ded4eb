import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useMemo, useState } from 'react';
import { useNavigate } from 'react-router';
import { auditPage, listAlarms, listQueues, showLatest, showQuota, showRange } from '../api/queries';
import { rates } from '../api/figures';
import { PageHeader } from '../app/page';
import { useWho } from '../app/session';
import { useFormat } from '../app/words';
import { useT } from '../i18n';
import { useLive } from '../live/live';
import { Empty, Failure, Skeleton } from '../parts/states';
import { Time, To } from '../parts/text';
import { Tiles } from '../parts/tiles';
import { concerns, type Concern } from './overview';
import { rows } from './queues';

const Top = lazy(() => import('./Top'));
const Guide = lazy(() => import('./Guide'));

export default function Overview() {
  const t = useT();
  const f = useFormat();
  const go = useNavigate();
  const live = useLive();
  const { can, project } = useWho();
  const queues = useQuery(listQueues(project.id));
  const latest = useQuery({ ...showLatest(project.id), refetchInterval: live.every(10_000) });
  const alarms = useQuery(listAlarms(project.id));
  const quota = useQuery(showQuota(project.id));
  const traffic = useQuery({ ...showRange(project.id, { metrics: ['produced_messages', 'consumed_messages'], seconds: 300 }), refetchInterval: live.every(10_000) });
  // Whoever begins with the guide keeps it until it is closed.
  const [guided, setGuided] = useState<boolean | null>(null);

  const all = useMemo(() => rows(queues.data?.queues ?? [], latest.data, alarms.data?.alarms ?? []), [queues.data, latest.data, alarms.data]);
  const limit = quota.data?.quotas.resources.find((r) => r.type === 'queue');
  const list = useMemo(() => concerns(all, alarms.data?.alarms ?? [], limit?.used ?? 0, limit?.quota ?? 0), [all, alarms.data, limit]);

  const sum = (pick: (r: (typeof all)[number]) => number | null | undefined) => {
    const known = all.map(pick).filter((n): n is number => n !== null && n !== undefined);
    return known.length > 0 ? known.reduce((a, b) => a + b, 0) : all.length === 0 ? 0 : null;
  };
  const oldest = all.reduce<number | null>((m, r) => (r.figures?.oldest != null ? Math.max(m ?? 0, r.figures.oldest) : m), null);
  const rate = (metric: string) => {
    const values = (traffic.data?.series ?? []).filter((s) => s.metric === metric).map((s) => rates(s.points).findLast((v) => v !== null));
    const known = values.filter((v): v is number => v != null);
    return known.length > 0 ? known.reduce((a, b) => a + b, 0) : null;
  };
  const empty = queues.data?.queues.length === 0;
  const guide = guided ?? (empty && can('manage') && can('produce') && can('consume'));
  const header = (
    <PageHeader
      title={t('nav.overview')}
      description={t('overview.lead')}
      actions={<Button variant="primary" disabled={!can('manage')} onClick={() => void go('/queues/create')}>{t('queues.create')}</Button>}
    />
  );
  if (!queues.data) {
    return (
      <SpaceBetween size="l">
        {header}
        {queues.error ? <Failure error={queues.error} retry={() => void queues.refetch()} /> : <Skeleton lines={6} />}
      </SpaceBetween>
    );
  }
  const dead = sum((r) => r.figures?.dead);
  return (
    <SpaceBetween size="l">
      {header}
      {guide && (
        <Suspense fallback={<Skeleton />}>
          <Guide onBegin={() => setGuided(true)} onClose={() => setGuided(false)} />
        </Suspense>
      )}
      <Tiles
        items={[
          { label: t('overview.waiting'), value: f.short(sum((r) => r.figures?.available)) },
          { label: t('overview.oldest'), value: f.duration(oldest) },
          { label: t('overview.inflight'), value: f.short(sum((r) => r.figures?.inFlight)) },
          { label: t('overview.dead'), value: f.short(dead), alert: (dead ?? 0) > 0 },
          { label: t('overview.rate'), value: `${f.short(rate('produced_messages'))} / ${f.short(rate('consumed_messages'))}` },
          { label: t('overview.queues'), value: limit ? `${f.count(queues.data.queues.length)} / ${f.count(limit.quota)}` : f.count(queues.data.queues.length) },
        ]}
      />
      <div className="wide-left">
        <SpaceBetween size="l">
          {!empty && (
            <Suspense fallback={<Skeleton lines={6} />}>
              <Top rows={all} />
            </Suspense>
          )}
          <Container header={<Header variant="h2" counter={list.length > 0 ? `(${list.length})` : ''}>{t('overview.attention')}</Header>}>
            {list.length === 0 ? <Empty good title={`✓ ${t('overview.calm')}`} text={t('overview.calmtext')} /> : (
              <ul className="attention">
                {list.slice(0, 20).map((c) => (
                  <li key={c.key}>
                    <span className="grow">
                      <StatusIndicator type={c.kind === 'alarm' || c.kind === 'expiring' ? 'error' : 'warning'}>
                        {c.queue && <strong>{c.queue.name}{c.group && ` / ${c.group}`}</strong>} <Words concern={c} used={limit?.used ?? 0} quota={limit?.quota ?? 0} />
                      </StatusIndicator>
                    </span>
                    <To path={c.path} label={`${t('overview.open')} ${c.queue?.name ?? ''}`}>{t('overview.open')}</To>
                  </li>
                ))}
              </ul>
            )}
          </Container>
        </SpaceBetween>
        {can('manage') && <Recent />}
      </div>
    </SpaceBetween>
  );
}

function Words({ concern: c, used, quota }: { concern: Concern; used: number; quota: number }) {
  const t = useT();
  const f = useFormat();
  switch (c.kind) {
    case 'alarm': return t('overview.alarm', { name: c.alarm });
    case 'dead': return t('overview.deadn', { n: c.dead });
    case 'unattended': return t('overview.unattended');
    case 'expiring': return t('overview.expiring', { age: f.duration(c.age), retention: f.duration((c.queue?.reservation ?? 0) * 60) });
    case 'quota': return t('overview.quota', { used, quota });
  }
}

function Recent() {
  const t = useT();
  const { project } = useWho();
  const found = useQuery({ queryKey: ['queues', project.id, 'audit'], queryFn: () => auditPage(project.id, false, {}), select: (p) => p.records.filter((r) => r.kind === 'change').slice(0, 8) });
  return (
    <Container header={<Header variant="h2" actions={<To path="/audit">{t('nav.audit')}</To>}>{t('overview.recent')}</Header>}>
      {found.error && <Failure error={found.error} retry={() => void found.refetch()} />}
      {found.isPending && <Skeleton />}
      {found.data?.length === 0 && <Empty title={t('audit.none')} />}
      {found.data && found.data.length > 0 && (
        <ul className="attention">
          {found.data.map((r) => (
            <li key={r.sequence}>
              <span className="grow"><span className="cell">{r.action}</span><br /><small className="muted">{r.actor?.subject ?? r.actor?.key_id ?? '–'}</small></span>
              <small className="muted"><Time at={r.time} /></small>
            </li>
          ))}
        </ul>
      )}
    </Container>
  );
}
