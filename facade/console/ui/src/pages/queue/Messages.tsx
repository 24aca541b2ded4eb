import Badge from '@cloudscape-design/components/badge';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useCallback, useMemo, useState } from 'react';
import { useNavigate, useParams } from 'react-router';
import { lookRequest, peek, type Look } from '../../api/messages';
import { listGroups } from '../../api/queries';
import type { Message } from '../../api/types';
import { usePanel } from '../../app/panel';
import { usePreferences } from '../../app/preferences';
import { useProject, useWho } from '../../app/session';
import { useFormat } from '../../app/words';
import { useT } from '../../i18n';
import { csv, download, ndjson } from '../../lib/export';
import { oneLine } from '../../lib/visible';
import { AsCode } from '../../parts/code';
import { Empty, Failure, Needs } from '../../parts/states';
import { Num, Time, Visible } from '../../parts/text';
import { MessageState, Viewer } from '../../parts/viewer';
import type { TabProps } from './Queue';

const sources = ['queue', 'backlog', 'in_flight', 'delayed'] as const;
const searches = ['text', 'filter', 'label', 'attribute', 'from_time', 'from_sequence'] as const;
type Search = (typeof searches)[number];
const words = { text: 'peek.text', filter: 'peek.filter', label: 'peek.label', attribute: 'peek.attribute', from_time: 'peek.from', from_sequence: 'peek.sequence' } as const;
const samples: Record<Search, string> = { text: '', filter: 'body.total > 100 && "eu" in labels', label: 'eu', attribute: 'priority=high', from_time: '2026-01-31T12:00:00Z', from_sequence: '1' };

export default function Messages(props: TabProps) {
  return (
    <Needs permission="inspect">
      <Browse {...props} />
    </Needs>
  );
}

function Browse({ queue }: TabProps) {
  const t = useT();
  const f = useFormat();
  const go = useNavigate();
  const project = useProject();
  const { can } = useWho();
  const { preferences } = usePreferences();
  const { sequence } = useParams();
  const [source, setSource] = useState<(typeof sources)[number]>('queue');
  const [group, setGroup] = useState('');
  const [order, setOrder] = useState<'newest' | 'oldest'>('newest');
  const [by, setBy] = useState<Search>('text');
  const [text, setText] = useState('');
  const [applied, setApplied] = useState<Partial<Record<Search, string>>>({});
  const groups = useQuery(listGroups(project, queue.id));
  const ofGroup = source === 'backlog' || source === 'in_flight';

  const look: Look = { source, order, limit: 100, ...(ofGroup ? { group_id: group } : {}), ...(applied as Look) };
  const found = useInfiniteQuery({
    queryKey: ['peek', project, queue.id, look],
    queryFn: ({ pageParam, signal }) => peek(project, queue.id, { ...look, ...(pageParam ? { cursor: pageParam } : {}) }, { signal }),
    initialPageParam: '',
    getNextPageParam: (last) => last.next,
    enabled: !ofGroup || group !== '',
  });
  const list = useMemo(() => found.data?.pages.flatMap((p) => p.messages) ?? [], [found.data]);
  const scanned = found.data?.pages.reduce((n, p) => n + p.scanned, 0) ?? 0;
  const newest = source === 'queue' && order === 'newest' && Object.keys(applied).length === 0 ? list[0]?.sequence : undefined;
  // How many came since the list was made.
  const ahead = useQuery({
    queryKey: ['latest', project, queue.id, 'ahead', newest ?? 0],
    queryFn: async ({ signal }) => (await peek(project, queue.id, { order: 'newest', limit: 1 }, { signal })).messages[0]?.sequence ?? 0,
    enabled: newest !== undefined,
  });
  const fresh = newest === undefined || !ahead.data ? 0 : Math.max(0, ahead.data - newest);

  const [own, setOwn] = useState<Message | null>(null);
  const wanted = sequence === undefined ? undefined : Number(sequence);
  const direct = useQuery({
    queryKey: ['peek', project, queue.id, 'one', wanted],
    queryFn: async ({ signal }) => (await peek(project, queue.id, { from_sequence: wanted!, limit: 1 }, { signal })).messages[0] ?? null,
    enabled: wanted !== undefined,
  });
  const shown = own ?? (wanted !== undefined && direct.data?.sequence === wanted ? direct.data : null);
  const close = useCallback(() => {
    setOwn(null);
    if (sequence !== undefined) void go(`/queues/${queue.id}?tab=messages`, { replace: true });
  }, [go, queue.id, sequence]);
  const step = useCallback(
    (n: number) =>
      setOwn((m) => {
        const at = list.findIndex((x) => x.sequence === m?.sequence);
        return list[at + n] ?? m;
      }),
    [list],
  );
  const again = useCallback((m: Message) => void go(`/queues/${queue.id}?tab=test`, { state: { body: m.body, attributes: m.attributes, labels: m.labels } }), [go, queue.id]);
  usePanel(
    useMemo(
      () => shown && <Viewer queue={queue.id} message={shown} ownHistory={source !== 'delayed'} onStep={step} onClose={close} {...(can('produce') ? { onAgain: again } : {})} />,
      [shown, queue.id, source, step, close, again, can],
    ),
  );

  const apply = () => {
    const value = text.trim();
    setApplied(value ? { [by]: value } : {});
  };
  const save = (kind: string) => {
    const name = `${queue.name}-messages`;
    if (kind === 'csv') {
      download(name + '.csv', 'text/csv', csv(['sequence', 'id', 'sent', 'size', 'labels', 'attributes', 'body'], list.map((m) => [m.sequence, m.id ?? '', m.sent, m.size, m.labels.join(' '), m.attributes ?? '', m.body])));
    } else download(name + '.ndjson', 'application/x-ndjson', ndjson(list));
  };
  const groupOptions = (groups.data?.groups ?? []).map((g) => ({ value: g.id, label: g.name }));
  return (
    <SpaceBetween size="m">
      <form className="toolbar" onSubmit={(e) => (e.preventDefault(), apply())}>
        <FormField label={t('peek.source')}>
          <Select
            selectedOption={{ value: source, label: t(`peek.${source}`) }}
            options={sources.map((s) => ({ value: s, label: t(`peek.${s}`) }))}
            onChange={(e) => {
              setSource(e.detail.selectedOption.value as (typeof sources)[number]);
              setGroup((g) => g || (groupOptions[0]?.value ?? ''));
              setOwn(null);
            }}
          />
        </FormField>
        {ofGroup && (
          <FormField label={t('peek.group')}>
            <Select selectedOption={groupOptions.find((o) => o.value === group) ?? null} placeholder={t('peek.choosegroup')} options={groupOptions} onChange={(e) => setGroup(e.detail.selectedOption.value ?? '')} />
          </FormField>
        )}
        <FormField label={t('peek.order')}>
          <Select
            selectedOption={{ value: order, label: t(`peek.${order}`) }}
            options={(['newest', 'oldest'] as const).map((o) => ({ value: o, label: t(`peek.${o}`) }))}
            onChange={(e) => setOrder(e.detail.selectedOption.value as 'newest' | 'oldest')}
          />
        </FormField>
        <FormField label={t('peek.by')}>
          <Select selectedOption={{ value: by, label: t(words[by]) }} options={searches.map((s) => ({ value: s, label: t(words[s]) }))} onChange={(e) => setBy(e.detail.selectedOption.value as Search)} />
        </FormField>
        <div className="grow" data-filter>
          <FormField label={t('peek.search')} stretch>
            <Input type="search" value={text} placeholder={samples[by]} clearAriaLabel={t('action.clear')} spellcheck={false} onChange={(e) => { setText(e.detail.value); if (e.detail.value === '') setApplied({}); }} />
          </FormField>
        </div>
        <Button iconName="search" formAction="submit">{t('peek.look')}</Button>
      </form>
      {found.error && <Failure error={found.error} retry={() => void found.refetch()} />}
      {wanted !== undefined && direct.isSuccess && direct.data?.sequence !== wanted && <Empty title={t('state.notfound')} text={t('error.10240411')} />}
      <Table
        variant="container"
        items={list}
        trackBy={(m) => String(m.sequence)}
        loading={found.isPending && found.fetchStatus !== 'idle'}
        loadingText={t('state.loading')}
        contentDensity={preferences.density}
        ariaLabels={{ tableLabel: t('queue.messages'), selectionGroupLabel: t('queue.messages'), itemSelectionLabel: (_, m) => t('viewer.title', { n: m.sequence }) }}
        selectionType="single"
        selectedItems={shown ? [shown] : []}
        onSelectionChange={(e) => setOwn(e.detail.selectedItems[0] ?? null)}
        onRowClick={(e) => setOwn(e.detail.item)}
        enableKeyboardNavigation
        wrapLines
        header={
          <Header
            description={t('peek.lead')}
            counter={list.length > 0 ? `(${f.count(list.length)}${found.hasNextPage ? '+' : ''})` : ''}
            actions={
              <SpaceBetween direction="horizontal" size="xs" alignItems="center">
                {fresh > 0 && <Button iconName="refresh" onClick={() => void found.refetch()}>{t('peek.newer', { n: fresh })}</Button>}
                <AsCode request={lookRequest(queue.id, look)} />
                <Button iconName="refresh" ariaLabel={t('action.refresh')} onClick={() => void found.refetch()} />
                <ButtonDropdown disabled={list.length === 0} items={[{ id: 'ndjson', text: t('peek.exportnd') }, { id: 'csv', text: t('peek.exportcsv') }]} onItemClick={(e) => save(e.detail.id)}>{t('action.export')}</ButtonDropdown>
              </SpaceBetween>
            }
          >
            {t('queue.messages')}
          </Header>
        }
        columnDefinitions={[
          { id: 'sequence', header: t('peek.sequence'), cell: (m) => <Num>{f.count(m.sequence)}</Num>, isRowHeader: true, width: 90 },
          { id: 'sent', header: t('viewer.sent'), cell: (m) => <span className="number"><Time at={m.sent} /></span>, width: 190 },
          { id: 'size', header: t('viewer.size'), cell: (m) => <Num>{f.bytes(m.size)}</Num>, width: 100 },
          ...(ofGroup ? [{ id: 'state', header: t('viewer.state'), cell: (m: Message) => (m.state ? <MessageState state={m.state} /> : '–'), width: 130 }] : []),
          ...(source === 'delayed' ? [{ id: 'due', header: t('viewer.due'), cell: (m: Message) => <Time at={m.due} />, width: 190 }] : []),
          { id: 'labels', header: t('viewer.labels'), cell: (m) => (m.labels.length > 0 ? <SpaceBetween direction="horizontal" size="xxs">{m.labels.map((l) => <Badge key={l}>{l}</Badge>)}</SpaceBetween> : '–'), width: 140 },
          { id: 'body', header: t('peek.body'), cell: (m) => <span className="cell"><Visible text={oneLine(m.body, 90)} /></span>, minWidth: 220 },
        ]}
        empty={
          ofGroup && !group ? <Empty title={t('peek.choosegroup')} />
          : Object.keys(applied).length > 0 ? <Empty title={t('peek.none')} text={t('peek.nomatch', { n: scanned })} />
          : <Empty title={t('peek.none')} text={source === 'queue' ? t('peek.nonetext') : ''} />
        }
        footer={
          found.hasNextPage && (
            <Box textAlign="center">
              <SpaceBetween size="xs" alignItems="center">
                <Button loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>{t('action.more')}</Button>
                <Box color="text-body-secondary">{t('peek.shown', { shown: f.count(list.length), scanned: f.count(scanned) })}</Box>
              </SpaceBetween>
            </Box>
          )
        }
      />
    </SpaceBetween>
  );
}
