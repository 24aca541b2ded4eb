import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import RadioGroup from '@cloudscape-design/components/radio-group';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import Textarea from '@cloudscape-design/components/textarea';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { json, send } from '../../api/http';
import { listGroups, showLatest } from '../../api/queries';
import type { Group, Queue } from '../../api/types';
import { useFlash } from '../../app/flash';
import { usePreferences } from '../../app/preferences';
import { useProject, useWho } from '../../app/session';
import { useFormat } from '../../app/words';
import { useT } from '../../i18n';
import { curl, terraform } from '../../lib/code';
import { groupName } from '../../lib/names';
import { Code } from '../../parts/code';
import { Dialog } from '../../parts/dialog';
import { Empty, Failure } from '../../parts/states';
import { Num, To } from '../../parts/text';
import type { TabProps } from './Queue';

export const never = 2_592_000;

export default function Groups({ queue }: TabProps) {
  const t = useT();
  const f = useFormat();
  const go = useNavigate();
  const { can, project } = useWho();
  const { preferences } = usePreferences();
  const groups = useQuery(listGroups(project.id, queue.id));
  const latest = useQuery(showLatest(project.id, queue.id));
  const [creating, setCreating] = useState(false);
  const [deleting, setDeleting] = useState<Group | null>(null);
  const figures = (g: Group) => latest.data?.queues.get(queue.id)?.groups.get(g.id);
  const dead = queue.redrive_policy === 'enable';
  if (groups.error && !groups.data) return <Failure error={groups.error} retry={() => void groups.refetch()} />;
  return (
    <>
      <Table
        items={groups.data?.groups ?? []}
        trackBy="id"
        loading={groups.isPending}
        loadingText={t('state.loading')}
        contentDensity={preferences.density}
        enableKeyboardNavigation
        ariaLabels={{ tableLabel: t('queue.groups') }}
        header={
          <Header
            counter={groups.data ? `(${groups.data.groups.length})` : ''}
            actions={<Button variant="primary" disabled={!can('manage')} onClick={() => setCreating(true)}>{t('groups.create')}</Button>}
          >
            {t('queue.groups')}
          </Header>
        }
        columnDefinitions={[
          { id: 'name', header: t('groups.name'), cell: (g) => <To path={`/queues/${queue.id}/groups/${g.id}`}>{g.name}</To>, isRowHeader: true, minWidth: 150 },
          { id: 'available', header: t('groups.available'), cell: (g) => <Num>{f.count(g.available_messages)}</Num> },
          { id: 'inflight', header: t('groups.inflight'), cell: (g) => <Num>{f.count(figures(g)?.inFlight)}</Num> },
          { id: 'oldest', header: t('groups.oldest'), cell: (g) => <Num>{f.duration(figures(g)?.oldest)}</Num> },
          { id: 'drain', header: t('groups.drain'), cell: (g) => <Num>{(figures(g)?.drain ?? 0) >= never ? t('groups.growing') : f.duration(figures(g)?.drain)}</Num> },
          { id: 'consumed', header: t('groups.consumed'), cell: (g) => <Num>{f.count(g.consumed_messages)}</Num> },
          { id: 'dead', header: t('groups.dead'), cell: (g) => <Num bad={dead && (g.available_deadletters ?? 0) > 0}>{dead ? f.count(g.available_deadletters) : '–'}</Num> },
          {
            id: 'actions',
            header: '',
            minWidth: 220,
            cell: (g) => (
              <SpaceBetween direction="horizontal" size="xxs">
                <Button variant="inline-link" disabled={!can('consume')} ariaLabel={`${t('groups.test')}: ${g.name}`} onClick={() => void go(`/queues/${queue.id}?tab=test`, { state: { group: g.id } })}>{t('groups.test')}</Button>
                <Button variant="inline-link" disabled={!can('manage')} ariaLabel={`${t('action.delete')}: ${g.name}`} onClick={() => setDeleting(g)}>{t('action.delete')}</Button>
              </SpaceBetween>
            ),
          },
        ]}
        empty={
          <Empty title={t('groups.none')} text={t('groups.nonetext')}>
            <div className="left"><Code what="curl" text={curl({ method: 'POST', path: `/queues/${queue.id}/groups`, body: '{"groups": [{"name": "billing"}]}' })} /></div>
            {can('manage') && <Button variant="primary" onClick={() => setCreating(true)}>{t('groups.create')}</Button>}
          </Empty>
        }
      />
      {creating && <CreateGroups queue={queue} onClose={() => setCreating(false)} />}
      {deleting && <DeleteGroup queue={queue.id} group={deleting} onClose={() => setDeleting(null)} />}
    </>
  );
}

function CreateGroups({ queue, onClose }: { queue: Queue; onClose: () => void }) {
  const t = useT();
  const project = useProject();
  const client = useQueryClient();
  const flash = useFlash();
  const [text, setText] = useState('');
  const [from, setFrom] = useState('begin');
  const names = text.split('\n').map((n) => n.trim()).filter(Boolean);
  const bad = names.find((n) => !groupName.test(n));
  const groups = names.map((name) => (from === 'end' ? { name, position: { to: 'end' } } : { name }));
  const request = { method: 'POST', path: `/queues/${queue.id}/groups`, body: JSON.stringify({ groups }) } as const;
  const run = async () => {
    await json(project, request);
    await client.invalidateQueries({ queryKey: ['groups'] });
    void client.invalidateQueries({ queryKey: ['queue'] });
    flash({ type: 'success', content: t('groups.created', { n: names.length }) });
  };
  return (
    <Dialog title={t('groups.create')} act={t('action.create')} disabled={names.length === 0 || bad !== undefined} code={{ request, terraform: terraform({ name: queue.name, queue_mode: queue.queue_mode, groups: names }) }} run={run} onClose={onClose}>
      <FormField label={t('groups.names')} constraintText={t('groups.nameshint')} errorText={bad ? t('groups.badname', { name: bad }) : ''}>
        <Textarea value={text} rows={3} spellcheck={false} onChange={(e) => setText(e.detail.value)} placeholder={'billing\nshipping'} autoFocus />
      </FormField>
      <FormField label={t('groups.position')}>
        <RadioGroup value={from} onChange={(e) => setFrom(e.detail.value)} items={[{ value: 'begin', label: t('groups.frombegin') }, { value: 'end', label: t('groups.fromend') }]} />
      </FormField>
    </Dialog>
  );
}

export function DeleteGroup({ queue, group, onClose, onDeleted }: { queue: string; group: { id: string; name: string }; onClose: () => void; onDeleted?: () => void }) {
  const t = useT();
  const project = useProject();
  const client = useQueryClient();
  const flash = useFlash();
  const request = { method: 'DELETE', path: `/queues/${queue}/groups/${group.id}` } as const;
  const run = async () => {
    await send(project, request);
    await client.invalidateQueries({ queryKey: ['groups'] });
    void client.invalidateQueries({ queryKey: ['queue'] });
    flash({ type: 'success', content: t('groups.deleted', { name: group.name }) });
    onDeleted?.();
  };
  return (
    <Dialog title={t('groups.delete')} act={t('action.delete')} word={group.name} code={{ request }} run={run} onClose={onClose}>
      {t('groups.deletetext')}
    </Dialog>
  );
}
