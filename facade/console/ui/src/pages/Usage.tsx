import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import ProgressBar from '@cloudscape-design/components/progress-bar';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { listProjects, listQueues, showLatest, showQuota } from '../api/queries';
import { PageHeader } from '../app/page';
import { useWho } from '../app/session';
import { useFormat } from '../app/words';
import { useT } from '../i18n';
import { useLive } from '../live/live';
import { Empty, Failure, Skeleton } from '../parts/states';
import { Num, To } from '../parts/text';
import { rows } from './queues';

export default function Usage() {
  const t = useT();
  const f = useFormat();
  const live = useLive();
  const { project, operator } = useWho();
  const quota = useQuery({ ...showQuota(project.id), refetchInterval: live.every(30_000) });
  const queues = useQuery(listQueues(project.id));
  const latest = useQuery({ ...showLatest(project.id), refetchInterval: live.every(30_000) });
  const projects = useQuery({ ...listProjects(), enabled: operator });
  const limit = quota.data?.quotas.resources.find((r) => r.type === 'queue');
  const bytes = projects.data?.find((p) => p.id === project.id)?.limits.stored_bytes;
  const list = rows(queues.data?.queues ?? [], latest.data, []).sort((a, b) => (b.figures?.stored ?? -1) - (a.figures?.stored ?? -1));
  const stored = list.reduce<number | null>((n, r) => (r.figures?.stored == null ? n : (n ?? 0) + r.figures.stored), list.length === 0 ? 0 : null);
  const bar = (label: string, used: number, most: number, write: (n: number) => string) => (
    <ProgressBar label={label} value={most > 0 ? Math.min(100, (used / most) * 100) : 0} additionalInfo={t('usage.of', { used: write(used), quota: write(most) })} ariaLabel={label} />
  );
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('nav.usage')} description={t('usage.lead')} />
      <Container header={<Header variant="h2" description={t('usage.full')}>{t('nav.usage')}</Header>}>
        {quota.error ? <Failure error={quota.error} retry={() => void quota.refetch()} /> : !limit ? <Skeleton lines={2} /> : (
          <SpaceBetween size="l">
            {bar(t('usage.queues'), limit.used, limit.quota, f.count)}
            {bytes && stored !== null ? bar(t('usage.stored'), stored, bytes, f.bytes) : <KeyValuePairs items={[{ label: t('usage.stored'), value: f.bytes(stored) }]} />}
          </SpaceBetween>
        )}
      </Container>
      <Container header={<Header variant="h2" description={t('usage.more')}>{t('usage.limits')}</Header>}>
        <KeyValuePairs columns={3} items={[{ label: t('usage.message'), value: f.bytes(524_288) }, { label: t('usage.batch'), value: f.count(10) }, { label: t('usage.delay'), value: f.duration(604_800) }]} />
      </Container>
      <Table
        items={list.slice(0, 50)}
        trackBy={(r) => r.queue.id}
        loading={queues.isPending}
        loadingText={t('state.loading')}
        header={<Header variant="h2">{t('usage.perqueue')}</Header>}
        ariaLabels={{ tableLabel: t('usage.perqueue') }}
        columnDefinitions={[
          { id: 'name', header: t('queues.name'), isRowHeader: true, cell: (r) => <To path={`/queues/${r.queue.id}`}>{r.queue.name}</To> },
          { id: 'stored', header: t('queues.stored'), cell: (r) => <Num>{f.bytes(r.figures?.stored)}</Num> },
          { id: 'messages', header: t('queues.messages'), cell: (r) => <Num>{f.count(r.queue.produced_messages)}</Num> },
          { id: 'groups', header: t('queues.groups'), cell: (r) => <Num>{f.count(r.queue.group_count)}</Num> },
        ]}
        empty={<Empty title={t('queues.none')} />}
      />
    </SpaceBetween>
  );
}
