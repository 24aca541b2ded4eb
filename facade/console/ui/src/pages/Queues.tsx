import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Cards from '@cloudscape-design/components/cards';
import CollectionPreferences from '@cloudscape-design/components/collection-preferences';
import Pagination from '@cloudscape-design/components/pagination';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator, { type StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';
import Table, { type TableProps } from '@cloudscape-design/components/table';
import TextFilter from '@cloudscape-design/components/text-filter';
import { useQuery } from '@tanstack/react-query';
import { useDeferredValue, useMemo, useState, type ReactNode } from 'react';
import { useNavigate, useSearchParams } from 'react-router';
import { listAlarms, listQueues, showLatest, showQuota } from '../api/queries';
import { PageHeader } from '../app/page';
import { useNarrow, usePreferences } from '../app/preferences';
import { useWho } from '../app/session';
import { useFormat } from '../app/words';
import { useT } from '../i18n';
import { curl } from '../lib/code';
import { useLive } from '../live/live';
import { Code } from '../parts/code';
import { Empty, Failure } from '../parts/states';
import { Num, Time, To } from '../parts/text';
import { DeleteQueues } from './DeleteQueues';
import { columns, matches, rows, sorted, usual, type Column, type Health, type Row } from './queues';

const looks: Record<Health, StatusIndicatorProps.Type> = { ok: 'success', idle: 'stopped', dead: 'warning', unattended: 'warning', expiring: 'error', alarm: 'error', unknown: 'pending' };
const sizes = [20, 50, 100, 200];

export function HealthMark({ health }: { health: Health }) {
  const t = useT();
  return <StatusIndicator type={looks[health]}>{t(`health.${health}`)}</StatusIndicator>;
}

export default function Queues() {
  const t = useT();
  const f = useFormat();
  const go = useNavigate();
  const narrow = useNarrow();
  const live = useLive();
  const { project, can } = useWho();
  const { preferences, change } = usePreferences();
  const [params, setParams] = useSearchParams();
  const [selected, setSelected] = useState<Row[]>([]);
  const [deleting, setDeleting] = useState<Row[] | null>(null);
  const [shown, setShown] = useState<readonly string[]>(usual);

  const queues = useQuery(listQueues(project.id));
  const latest = useQuery({ ...showLatest(project.id), refetchInterval: live.every(10_000) });
  const alarms = useQuery(listAlarms(project.id));
  const quota = useQuery(showQuota(project.id));

  const text = params.get('find') ?? '';
  const wanted = useDeferredValue(text);
  const by = (params.get('sort') as Column | null) ?? 'created';
  const down = params.has('sort') ? params.get('down') === '1' : true;
  const set = (changes: Record<string, string>) =>
    setParams((p) => {
      for (const [k, v] of Object.entries(changes)) v ? p.set(k, v) : p.delete(k);
      return p;
    }, { replace: true });

  const all = useMemo(() => rows(queues.data?.queues ?? [], latest.data, alarms.data?.alarms ?? []), [queues.data, latest.data, alarms.data]);
  const found = useMemo(() => {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    const some = words.length === 0 ? all : all.filter((r) => matches(r, words, t(`health.${r.health}`), t(`mode.${r.queue.queue_mode}`)));
    return sorted(some, by, down);
  }, [all, wanted, by, down, t]);
  const size = preferences.pageSize;
  const pages = Math.max(1, Math.ceil(found.length / size));
  const page = Math.min(pages, Number(params.get('page') ?? 1) || 1);
  const visible = found.slice((page - 1) * size, page * size);
  const chosen = all.filter((r) => selected.some((s) => s.queue.id === r.queue.id));

  const cells: Record<Column, (r: Row) => ReactNode> = {
    name: (r) => <To path={`/queues/${r.queue.id}`}>{r.queue.name}</To>,
    state: (r) => <HealthMark health={r.health} />,
    messages: (r) => <Num>{f.count(r.queue.produced_messages)}</Num>,
    waiting: (r) => <Num>{f.count(r.figures?.available)}</Num>,
    inflight: (r) => <Num>{f.count(r.figures?.inFlight)}</Num>,
    oldest: (r) => <Num>{f.duration(r.figures?.oldest)}</Num>,
    dead: (r) => <Num bad={(r.figures?.dead ?? 0) > 0}>{r.queue.redrive_policy === 'disable' ? '–' : f.count(r.figures?.dead)}</Num>,
    type: (r) => t(`mode.${r.queue.queue_mode}`),
    groups: (r) => <Num>{f.count(r.queue.group_count)}</Num>,
    stored: (r) => <Num>{f.bytes(r.figures?.stored)}</Num>,
    created: (r) => <span className="number"><Time at={r.queue.created} /></span>,
    description: (r) => r.queue.description || '–',
    id: (r) => <span className="cell">{r.queue.id}</span>,
  };
  const definitions: TableProps.ColumnDefinition<Row>[] = columns.map((c) => ({
    id: c,
    header: t(`queues.${c}`),
    cell: cells[c],
    sortingField: c,
    isRowHeader: c === 'name',
    minWidth: c === 'name' ? 160 : c === 'state' ? 140 : 84,
  }));

  const empty = text ? (
    <Empty title={t('queues.nomatch')}>
      <Button onClick={() => set({ find: '', page: '' })}>{t('queues.clearfilter')}</Button>
    </Empty>
  ) : (
    <Empty title={t('queues.none')} text={t('queues.nonetext')}>
      <div className="left"><Code what="curl" text={curl({ method: 'POST', path: '/queues', body: '{"name": "orders"}' })} /></div>
      {can('manage') && <Button variant="primary" onClick={() => void go('/queues/create')}>{t('queues.create')}</Button>}
    </Empty>
  );

  const limit = quota.data?.quotas.resources.find((r) => r.type === 'queue');
  const header = (
    <PageHeader
      title={t('nav.queues')}
      description={t('queues.lead')}
      {...(queues.data ? { counter: `(${f.count(all.length)}${limit ? `/${f.count(limit.quota)}` : ''})` } : {})}
      actions={
        <SpaceBetween direction="horizontal" size="xs">
          <Button iconName="refresh" ariaLabel={t('action.refresh')} onClick={() => void Promise.all([queues.refetch(), latest.refetch()])} />
          <Button disabled={!can('manage') || chosen.length === 0} onClick={() => setDeleting(chosen)}>{t('queues.deleten', { n: chosen.length })}</Button>
          <Button variant="primary" disabled={!can('manage')} onClick={() => void go('/queues/create')}>{t('queues.create')}</Button>
        </SpaceBetween>
      }
    />
  );
  const filter = (
    <div data-filter>
      <TextFilter
        filteringText={text}
        filteringPlaceholder={t('queues.filter')}
        filteringAriaLabel={t('queues.filter')}
        countText={text ? t('queues.matches', { n: found.length }) : ''}
        onChange={(e) => set({ find: e.detail.filteringText, page: '' })}
      />
    </div>
  );
  const pagination = (
    <Pagination
      currentPageIndex={page}
      pagesCount={pages}
      onChange={(e) => set({ page: String(e.detail.currentPageIndex) })}
      ariaLabels={{ paginationLabel: t('nav.queues'), previousPageLabel: t('queues.previous'), nextPageLabel: t('queues.nextpage'), pageLabel: (n) => t('queues.page', { n }) }}
    />
  );
  const settings = (
    <CollectionPreferences
      title={t('queues.columns')}
      confirmLabel={t('action.apply')}
      cancelLabel={t('action.cancel')}
      preferences={{ pageSize: size, visibleContent: shown }}
      pageSizePreference={{ title: t('queues.pagesize'), options: sizes.map((n) => ({ value: n, label: String(n) })) }}
      visibleContentPreference={{ title: t('queues.columns'), options: [{ label: '', options: columns.map((c) => ({ id: c, label: t(`queues.${c}`), editable: c !== 'name' })) }] }}
      onConfirm={(e) => {
        change({ pageSize: e.detail.pageSize ?? size });
        setShown(e.detail.visibleContent ?? usual);
      }}
    />
  );
  const labels = {
    selectionGroupLabel: t('nav.queues'),
    allItemsSelectionLabel: () => t('queues.selectall'),
    itemSelectionLabel: (_: unknown, r: Row) => t('queues.select', { name: r.queue.name }),
    tableLabel: t('nav.queues'),
  };

  if (queues.error && !queues.data) return <><Box padding={{ bottom: 'm' }}>{header}</Box><Failure error={queues.error} retry={() => void queues.refetch()} /></>;
  return (
    <>
      {narrow ? (
        <Cards
          items={visible}
          trackBy={(r) => r.queue.id}
          loading={queues.isPending}
          loadingText={t('state.loading')}
          header={header}
          filter={filter}
          pagination={pagination}
          selectionType="multi"
          selectedItems={selected}
          onSelectionChange={(e) => setSelected(e.detail.selectedItems)}
          ariaLabels={{ ...labels, cardsLabel: t('nav.queues') }}
          empty={empty}
          cardsPerRow={[{ cards: 1 }]}
          cardDefinition={{
            header: (r) => <To path={`/queues/${r.queue.id}`}>{r.queue.name}</To>,
            sections: [
              { id: 'state', content: (r) => <HealthMark health={r.health} /> },
              ...(['waiting', 'oldest', 'dead', 'type'] as const).map((c) => ({ id: c, header: t(`queues.${c}`), content: cells[c], width: 50 })),
            ],
          }}
        />
      ) : (
        <Table
          variant="container"
          items={visible}
          trackBy={(r) => r.queue.id}
          loading={queues.isPending}
          loadingText={t('state.loading')}
          columnDefinitions={definitions}
          columnDisplay={columns.map((id) => ({ id, visible: shown.includes(id) }))}
          sortingColumn={{ sortingField: by }}
          sortingDescending={down}
          onSortingChange={(e) => set({ sort: e.detail.sortingColumn.sortingField ?? 'created', down: e.detail.isDescending ? '1' : '' })}
          selectionType="multi"
          selectedItems={selected}
          onSelectionChange={(e) => setSelected(e.detail.selectedItems)}
          ariaLabels={labels}
          stickyColumns={{ first: 1 }}
          enableKeyboardNavigation
          contentDensity={preferences.density}
          header={header}
          filter={filter}
          pagination={pagination}
          preferences={settings}
          empty={empty}
          footer={latest.error ? <Box color="text-body-secondary">{t('state.partial')}</Box> : undefined}
        />
      )}

      {deleting && <DeleteQueues rows={deleting} onClose={() => { setDeleting(null); setSelected([]); }} />}
    </>
  );
}
