import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { listQueues, showLatest } from '../api/queries';
import { PageHeader } from '../app/page';
import { usePreferences } from '../app/preferences';
import { useProject } from '../app/session';
import { useFormat } from '../app/words';
import { useT } from '../i18n';
import { useLive } from '../live/live';
import { Jobs } from '../parts/jobs';
import { Empty, Failure } from '../parts/states';
import { Num, To } from '../parts/text';
import { rows } from './queues';

export default function DeadLetters() {
  const t = useT();
  const f = useFormat();
  const live = useLive();
  const project = useProject();
  const { preferences } = usePreferences();
  const queues = useQuery(listQueues(project));
  const latest = useQuery({ ...showLatest(project), refetchInterval: live.every(10_000) });
  const list = rows((queues.data?.queues ?? []).filter((q) => q.redrive_policy === 'enable'), latest.data, []).sort((a, b) => (b.figures?.dead ?? -1) - (a.figures?.dead ?? -1));
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('nav.dead')} description={t('deadall.lead')} />
      <Jobs />
      {queues.error && <Failure error={queues.error} retry={() => void queues.refetch()} />}
      <Table
        items={list}
        trackBy={(r) => r.queue.id}
        loading={queues.isPending}
        loadingText={t('state.loading')}
        contentDensity={preferences.density}
        enableKeyboardNavigation
        ariaLabels={{ tableLabel: t('nav.dead') }}
        columnDefinitions={[
          { id: 'name', header: t('queues.name'), isRowHeader: true, cell: (r) => <To path={`/queues/${r.queue.id}?tab=dead`}>{r.queue.name}</To> },
          { id: 'dead', header: t('queues.dead'), cell: (r) => <Num bad={(r.figures?.dead ?? 0) > 0}>{f.count(r.figures?.dead)}</Num> },
          { id: 'max', header: t('create.max'), cell: (r) => <Num>{f.count(r.queue.max_consume_count)}</Num> },
          { id: 'waiting', header: t('queues.waiting'), cell: (r) => <Num>{f.count(r.figures?.available)}</Num> },
        ]}
        empty={<Empty good title={`✓ ${t('dead.none')}`} />}
      />
    </SpaceBetween>
  );
}
