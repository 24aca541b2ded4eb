import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useCallback, useMemo, useState } from 'react';
import { useNavigate } from 'react-router';
import { lookRequest, peek } from '../../api/messages';
import { listGroups } from '../../api/queries';
import type { Message } from '../../api/types';
import { usePanel } from '../../app/panel';
import { usePreferences } from '../../app/preferences';
import { useWho } from '../../app/session';
import { useFormat } from '../../app/words';
import { useT } from '../../i18n';
import { oneLine } from '../../lib/visible';
import { AsCode } from '../../parts/code';
import { Jobs } from '../../parts/jobs';
import { Empty, Failure, Needs } from '../../parts/states';
import { Num, Time, Visible } from '../../parts/text';
import { Viewer } from '../../parts/viewer';
import { RedriveDialog } from './Redrive';
import type { TabProps } from './Queue';

export default function Dead({ queue }: TabProps) {
  const t = useT();
  if (queue.redrive_policy === 'disable') return <Alert type="info">{t('dead.off')}</Alert>;
  return (
    <Needs permission="inspect">
      <Letters queue={queue} />
    </Needs>
  );
}

function Letters({ queue }: TabProps) {
  const t = useT();
  const f = useFormat();
  const go = useNavigate();
  const { can, project } = useWho();
  const { preferences } = usePreferences();
  const [group, setGroup] = useState('');
  const [selected, setSelected] = useState<Message[]>([]);
  const [shown, setShown] = useState<Message | null>(null);
  const [redriving, setRedriving] = useState<{ group: string; sequences: number[] } | null>(null);
  const groups = useQuery(listGroups(project.id, queue.id));
  const look = { source: 'dead_letters', order: 'newest', limit: 100, ...(group ? { group_id: group } : {}) };
  const found = useInfiniteQuery({
    // Jobs change it, and so do groups.
    queryKey: ['groups', project.id, queue.id, 'dead', look],
    queryFn: ({ pageParam, signal }) => peek(project.id, queue.id, { ...look, ...(pageParam ? { cursor: pageParam } : {}) }, { signal }),
    initialPageParam: '',
    getNextPageParam: (last) => last.next,
  });
  const list = useMemo(() => found.data?.pages.flatMap((p) => p.messages) ?? [], [found.data]);
  const names = new Map((groups.data?.groups ?? []).map((g) => [g.id, g.name]));
  const step = useCallback((n: number) => setShown((m) => list[list.findIndex((x) => x.sequence === m?.sequence) + n] ?? m), [list]);
  const close = useCallback(() => setShown(null), []);
  const again = useCallback((m: Message) => void go(`/queues/${queue.id}?tab=test`, { state: { body: m.body, attributes: m.attributes, labels: m.labels } }), [go, queue.id]);
  usePanel(
    useMemo(() => shown && <Viewer queue={queue.id} message={shown} ownHistory={false} onStep={step} onClose={close} {...(can('produce') ? { onAgain: again } : {})} />, [shown, queue.id, step, close, again, can]),
  );

  const chosen = [...new Set(selected.map((m) => m.dead?.group_id ?? ''))];
  const withDead = (groups.data?.groups ?? []).filter((g) => (g.available_deadletters ?? 0) > 0);
  const target = chosen.length === 1 ? chosen[0]! : group || (withDead.length === 1 ? withDead[0]!.id : '');
  const options = [{ value: '', label: t('dead.allgroups') }, ...(groups.data?.groups ?? []).map((g) => ({ value: g.id, label: `${g.name} (${f.count(g.available_deadletters)})` }))];
  return (
    <SpaceBetween size="m">
      <Jobs queue={queue.id} />
      {found.error && <Failure error={found.error} retry={() => void found.refetch()} />}
      <Table
        items={list}
        trackBy={(m) => String(m.sequence)}
        loading={found.isPending}
        loadingText={t('state.loading')}
        contentDensity={preferences.density}
        selectionType="multi"
        selectedItems={selected}
        onSelectionChange={(e) => setSelected(e.detail.selectedItems)}
        enableKeyboardNavigation
        wrapLines
        ariaLabels={{ tableLabel: t('queue.dead'), selectionGroupLabel: t('queue.dead'), allItemsSelectionLabel: () => t('dead.selectall'), itemSelectionLabel: (_, m) => t('dead.select', { n: m.sequence }) }}
        header={
          <Header
            counter={list.length > 0 ? `(${f.count(list.length)}${found.hasNextPage ? '+' : ''})` : ''}
            description={t('dead.lead')}
            actions={
              <SpaceBetween direction="horizontal" size="xs" alignItems="center">
                <AsCode request={lookRequest(queue.id, look)} />
                <Select ariaLabel={t('peek.group')} selectedOption={options.find((o) => o.value === group) ?? null} options={options} onChange={(e) => (setGroup(e.detail.selectedOption.value ?? ''), setSelected([]))} />
                <Button iconName="refresh" ariaLabel={t('action.refresh')} onClick={() => void found.refetch()} />
                <Button
                  variant="primary"
                  disabled={!can('manage') || list.length === 0 || target === ''}
                  {...(list.length > 0 && target === '' ? { disabledReason: t('dead.onegroup') } : {})}
                  onClick={() => setRedriving({ group: target, sequences: selected.map((m) => m.sequence) })}
                >
                  {selected.length > 0 ? t('dead.redriven', { n: selected.length }) : t('dead.redrive')}
                </Button>
              </SpaceBetween>
            }
          >
            {t('queue.dead')}
          </Header>
        }
        columnDefinitions={[
          { id: 'sequence', header: t('peek.sequence'), isRowHeader: true, width: 110, cell: (m) => <Button variant="inline-link" ariaLabel={t('viewer.title', { n: m.sequence })} onClick={() => setShown(m)}>{f.count(m.sequence)}</Button> },
          { id: 'group', header: t('peek.group'), cell: (m) => names.get(m.dead?.group_id ?? '') ?? '–', width: 150 },
          { id: 'failures', header: t('viewer.failures'), cell: (m) => <Num>{f.count(m.dead?.failures)}</Num>, width: 100 },
          { id: 'reason', header: t('viewer.reason'), cell: (m) => <Visible text={m.dead?.reason || '–'} />, width: 220 },
          { id: 'sent', header: t('viewer.sent'), cell: (m) => <span className="number"><Time at={m.sent} /></span>, width: 190 },
          { id: 'body', header: t('peek.body'), cell: (m) => <span className="cell"><Visible text={oneLine(m.body, 100)} /></span>, minWidth: 200 },
        ]}
        empty={<Empty good title={`✓ ${t('dead.none')}`} text={t('dead.nonetext')} />}
        footer={found.hasNextPage && <Button loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>{t('action.more')}</Button>}
      />
      {redriving && <RedriveDialog queue={queue} group={redriving.group} name={names.get(redriving.group) ?? ''} sequences={redriving.sequences} onClose={() => { setRedriving(null); setSelected([]); }} />}
    </SpaceBetween>
  );
}
