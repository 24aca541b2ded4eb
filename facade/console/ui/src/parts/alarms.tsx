import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import Header from '@cloudscape-design/components/header';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator, { type StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { json, send } from '../api/http';
import { alarmHistory, listAlarms, listQueues } from '../api/queries';
import type { Alarm, NewAlarm, Queue } from '../api/types';
import { useFlash } from '../app/flash';
import { usePreferences } from '../app/preferences';
import { useWho } from '../app/session';
import { sentence, useFormat } from '../app/words';
import { known, useT, type Key, type T } from '../i18n';
import { download } from '../lib/export';
import { AlarmForm } from './alarmform';
import { Dialog } from './dialog';
import { Empty, Failure, Skeleton } from './states';
import { Time, To, Visible } from './text';

const looks: Record<Alarm['status'], StatusIndicatorProps.Type> = { ok: 'success', pending: 'pending', firing: 'error', muted: 'stopped', disabled: 'stopped' };

export function metricName(t: T, id: string): string {
  const key = `metric.${id}`;
  return known(key) ? t(key) : id;
}

const ready: [Key, NewAlarm][] = [
  ['alarms.suggest1', { name: 'backlog-age', metric: 'oldest_message_age', comparison: '>', threshold: 600, for_seconds: 60, severity: 'major' }],
  ['alarms.suggest2', { name: 'dead-letters', metric: 'dead_avail_messages', comparison: '>', threshold: 0, for_seconds: 0, severity: 'minor' }],
  ['alarms.suggest3', { name: 'no-consumer', metric: 'growing_without_consumer', comparison: '>=', threshold: 1, for_seconds: 600, severity: 'critical' }],
];

/** AlarmTable shows the alarms of the project, or those that concern a queue. */
export function AlarmTable({ queue }: { queue?: Queue }) {
  const t = useT();
  const f = useFormat();
  const flash = useFlash();
  const client = useQueryClient();
  const { can, project } = useWho();
  const { preferences } = usePreferences();
  const alarms = useQuery(listAlarms(project.id));
  const queues = useQuery(listQueues(project.id));
  const [form, setForm] = useState<{ alarm: Alarm | null; draft: NewAlarm | null } | null>(null);
  const [deleting, setDeleting] = useState<Alarm | null>(null);
  const [history, setHistory] = useState<Alarm | null>(null);
  const names = new Map((queues.data?.queues ?? []).map((q) => [q.id, q.name]));
  const list = (alarms.data?.alarms ?? []).filter((a) => !queue || a.queue_id === null || a.queue_id === queue.id);
  const renew = () => client.invalidateQueries({ queryKey: ['alarms'] });
  const value = (a: Alarm) => (/_age$|^time_/.test(a.metric) ? f.duration(a.threshold) : a.metric.endsWith('bytes') ? f.bytes(a.threshold) : f.count(a.threshold));

  const act = async (a: Alarm, what: string) => {
    try {
      if (what === 'edit') setForm({ alarm: a, draft: null });
      else if (what === 'delete') setDeleting(a);
      else if (what === 'history') setHistory(a);
      else if (what === 'mute' || what === 'unmute') {
        await json(project.id, { method: 'POST', path: `/alarms/${a.id}/mute`, body: JSON.stringify({ seconds: what === 'mute' ? 3600 : 0 }) });
        await renew();
      } else if (what === 'test') {
        const sent = await json<{ deliveries: { success: boolean; error: string }[] }>(project.id, { method: 'POST', path: `/alarms/${a.id}/test` });
        const bad = sent.deliveries.find((d) => !d.success);
        flash(bad ? { type: 'warning', content: t('alarms.testfailed', { text: bad.error }) } : { type: 'success', content: t('alarms.tested', { n: sent.deliveries.length }) });
      }
    } catch (err) {
      flash({ type: 'error', content: sentence(t, err) });
    }
  };
  const save = async () => {
    try {
      download('dms-rules.yml', 'application/yaml', await send(project.id, { method: 'GET', path: '/alarms', query: { format: 'prometheus' } }, { headers: { Accept: '*/*' } }));
    } catch (err) {
      flash({ type: 'error', content: sentence(t, err) });
    }
  };
  if (alarms.error && !alarms.data) return <Failure error={alarms.error} retry={() => void alarms.refetch()} />;
  return (
    <>
      <Table
        items={list}
        trackBy="id"
        loading={alarms.isPending}
        loadingText={t('state.loading')}
        contentDensity={preferences.density}
        enableKeyboardNavigation
        wrapLines
        ariaLabels={{ tableLabel: t('nav.alarms') }}
        header={
          <Header
            counter={alarms.data ? `(${list.length})` : ''}
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button iconName="download" onClick={() => void save()} disabled={list.length === 0}>{t('alarms.prometheus')}</Button>
                <Button variant="primary" disabled={!can('manage')} onClick={() => setForm({ alarm: null, draft: null })}>{t('alarms.create')}</Button>
              </SpaceBetween>
            }
          >
            {t('nav.alarms')}
          </Header>
        }
        columnDefinitions={[
          { id: 'name', header: t('alarms.name'), isRowHeader: true, minWidth: 140, cell: (a) => <><Visible text={a.name} />{a.description && <Box color="text-body-secondary"><Visible text={a.description} /></Box>}</> },
          {
            id: 'state', header: t('alarms.state'), minWidth: 150,
            cell: (a) => (
              <>
                <StatusIndicator type={looks[a.status]}>{t(`alarm.${a.status}`)}</StatusIndicator>
                {a.targets.slice(0, 3).map((x) => (
                  <div key={x.queue_id + (x.group_id ?? '')}>
                    <To path={`/queues/${x.queue_id}`}>{x.queue_name}{x.group_name ? ` / ${x.group_name}` : ''}</To> <Box variant="span" color="text-body-secondary">{t('alarms.since', { at: f.time(x.since) })}</Box>
                  </div>
                ))}
              </>
            ),
          },
          { id: 'condition', header: t('alarms.condition'), minWidth: 220, cell: (a) => t(a.for_seconds > 0 ? 'alarms.for' : 'alarms.now', { metric: metricName(t, a.metric), comparison: a.comparison, value: value(a), time: f.duration(a.for_seconds) }) },
          { id: 'scope', header: t('alarms.scope'), cell: (a) => (a.queue_id ? (names.get(a.queue_id) ?? a.queue_id) : t('alarms.all')) },
          { id: 'severity', header: t('alarms.severity'), cell: (a) => t(`severity.${a.severity}`) },
          {
            id: 'actions', header: t('alarms.actions'), minWidth: 120,
            cell: (a) => (
              <ButtonDropdown
                variant="icon"
                expandToViewport
                ariaLabel={t('alarms.actionsof', { name: a.name })}
                items={[
                  { id: 'history', text: t('alarms.history') },
                  { id: 'edit', text: t('alarms.edit'), disabled: !can('manage') },
                  { id: a.muted_until ? 'unmute' : 'mute', text: t(a.muted_until ? 'alarms.unmute' : 'alarms.mute'), disabled: !can('manage') },
                  { id: 'test', text: t('alarms.test'), disabled: !can('manage') },
                  { id: 'delete', text: t('action.delete'), disabled: !can('manage') },
                ]}
                onItemClick={(e) => void act(a, e.detail.id)}
              />
            ),
          },
        ]}
        empty={
          <Empty title={t('alarms.none')} text={t('alarms.nonetext')}>
            <SpaceBetween size="xs" alignItems="center">
              {ready.map(([key, draft]) => <Button key={key} disabled={!can('manage')} onClick={() => setForm({ alarm: null, draft })}>{t(key)}</Button>)}
            </SpaceBetween>
          </Empty>
        }
      />
      {form && <AlarmForm alarm={form.alarm} draft={form.draft} queue={queue} onClose={() => setForm(null)} />}
      {history && <History alarm={history} onClose={() => setHistory(null)} />}
      {deleting && (
        <Dialog
          title={t('alarms.delete')}
          act={t('action.delete')}
          word={deleting.name}
          code={{ request: { method: 'DELETE', path: `/alarms/${deleting.id}` } }}
          run={async () => {
            await send(project.id, { method: 'DELETE', path: `/alarms/${deleting.id}` });
            await renew();
            flash({ type: 'success', content: t('alarms.deleted') });
          }}
          onClose={() => setDeleting(null)}
        />
      )}
    </>
  );
}

function History({ alarm, onClose }: { alarm: Alarm; onClose: () => void }) {
  const t = useT();
  const f = useFormat();
  const { project } = useWho();
  const found = useQuery(alarmHistory(project.id, alarm.id));
  const what = (h: NonNullable<typeof found.data>['history'][number]) => {
    if (h.change) return `${h.change.queue_name}${h.change.group_name ? ` / ${h.change.group_name}` : ''} – ${t('alarms.change', { from: t(`alarm.${h.change.from}`), to: t(`alarm.${h.change.to}`), reason: h.change.reason })}`;
    if (h.delivery) return t(h.delivery.success ? 'alarms.delivered' : 'alarms.undelivered', { url: h.delivery.url, error: h.delivery.error });
    return '';
  };
  return (
    <Modal visible size="large" header={`${t('alarms.history')} – ${alarm.name}`} closeAriaLabel={t('action.close')} onDismiss={onClose}>
      {found.error && <Failure error={found.error} retry={() => void found.refetch()} />}
      {found.isPending && <Skeleton />}
      {found.data && (
        <Table
          variant="embedded"
          wrapLines
          items={found.data.history}
          ariaLabels={{ tableLabel: t('alarms.history') }}
          columnDefinitions={[
            { id: 'at', header: t('alarms.when'), cell: (h) => <Time at={h.at} />, isRowHeader: true, width: 200 },
            { id: 'what', header: t('alarms.event'), cell: (h) => <Visible text={what(h)} /> },
            { id: 'value', header: t('alarms.value'), cell: (h) => f.count(h.change?.value), width: 110 },
          ]}
          empty={t('alarms.nohistory')}
        />
      )}
    </Modal>
  );
}
