import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { ackRequest, consumeRequest } from '../../api/messages';
import { listGroups } from '../../api/queries';
import { useProject } from '../../app/session';
import { sentence, useFormat } from '../../app/words';
import { useT } from '../../i18n';
import { ndjson, download } from '../../lib/export';
import { oneLine } from '../../lib/visible';
import { Body } from '../../parts/body';
import { AsCode } from '../../parts/code';
import { Failure } from '../../parts/states';
import { To, Visible } from '../../parts/text';
import { useConsuming, type AckMode, type Taken } from './consuming';
import type { TabProps } from './Queue';

const intervals = [3, 5, 10, 30];

export function Consumer({ queue, group: wanted }: TabProps & { group?: string | undefined }) {
  const t = useT();
  const f = useFormat();
  const project = useProject();
  const groups = useQuery(listGroups(project, queue.id));
  const run = useConsuming(project, queue.id);
  const [chosen, setGroup] = useState(wanted ?? '');
  const [kind, setKind] = useState('normal');
  const [number, setNumber] = useState('5');
  const [interval, setIntervalSeconds] = useState(3);
  const [ackWait, setAckWait] = useState('30');
  const [mode, setMode] = useState<AckMode>('auto');
  const [now, setNow] = useState(Date.now);
  const moving = run.running || run.rows.some((r) => r.fate === 'held');
  const { lapse } = run;

  useEffect(() => {
    if (!moving) return undefined;
    const timer = setInterval(() => {
      setNow(Date.now());
      lapse(Date.now());
    }, 250);
    return () => clearInterval(timer);
  }, [moving, lapse]);

  const options = (groups.data?.groups ?? []).map((g) => ({ value: g.id, label: g.name, description: `${t('groups.available')}: ${f.count(g.available_messages)}` }));
  const group = options.some((o) => o.value === chosen) ? chosen : (options[0]?.value ?? '');
  const count = Number(number);
  const wait = Number(ackWait);
  const ready = group !== '' && Number.isInteger(count) && count >= 1 && count <= 1000 && wait >= 15 && wait <= 300;
  const dead = kind === 'dead';
  const request = consumeRequest(queue.id, { group: group || 'GROUP_ID', dead, most: Math.min(Math.max(count || 1, 1), 10), wait: interval, ackWait: wait || 30 });

  if (groups.error) return <Failure error={groups.error} retry={() => void groups.refetch()} />;
  const left = run.next === null ? 0 : Math.max(0, Math.ceil((run.next - now) / 1000));
  return (
    <SpaceBetween size="m">
      <Container header={<Header variant="h2" actions={<AsCode request={request} />} description={t('consume.lead')}>{t('consume.title')}</Header>}>
        {groups.data && options.length === 0 ? (
          <Alert type="info" action={<To path={`/queues/${queue.id}?tab=groups`}>{t('groups.create')}</To>}>{t('consume.nogroups')}</Alert>
        ) : (
          <form onSubmit={(e) => (e.preventDefault(), ready && void run.start({ group, dead, number: count, interval, ackWait: wait, mode }))}>
            <SpaceBetween size="m">
              <FormField label={t('consume.group')} stretch>
                <Select selectedOption={options.find((o) => o.value === group) ?? null} options={options} onChange={(e) => setGroup(e.detail.selectedOption.value ?? '')} statusType={groups.isPending ? 'loading' : 'finished'} />
              </FormField>
              <FormField label={t('consume.kind')} stretch>
                <SegmentedControl label={t('consume.kind')} selectedId={kind} onChange={(e) => setKind(e.detail.selectedId)} options={[{ id: 'normal', text: t('consume.normal') }, { id: 'dead', text: t('consume.dead'), disabled: queue.redrive_policy === 'disable' }]} />
              </FormField>
              <div className="pair">
                <FormField label={t('consume.number')}>
                  <Input type="number" inputMode="numeric" value={number} onChange={(e) => setNumber(e.detail.value)} />
                </FormField>
                <FormField label={t('consume.interval')}>
                  <Select selectedOption={{ value: String(interval), label: t('consume.seconds', { n: interval }) }} options={intervals.map((n) => ({ value: String(n), label: t('consume.seconds', { n }) }))} onChange={(e) => setIntervalSeconds(Number(e.detail.selectedOption.value))} />
                </FormField>
                <FormField label={t('consume.ackwait')}>
                  <Input type="number" inputMode="numeric" value={ackWait} onChange={(e) => setAckWait(e.detail.value)} />
                </FormField>
              </div>
              <FormField label={t('consume.mode')} stretch>
                <SegmentedControl label={t('consume.mode')} selectedId={mode} onChange={(e) => setMode(e.detail.selectedId as AckMode)} options={(['auto', 'hand', 'never'] as const).map((m) => ({ id: m, text: t(`consume.${m}`) }))} />
              </FormField>
              <SpaceBetween direction="horizontal" size="xs" alignItems="center">
                {/* Keys of their own: one element made of both would submit the form when it is stopped. */}
                {run.running ? <Button key="stop" iconName="status-stopped" formAction="none" onClick={run.stop}>{t('consume.stop')}</Button> : <Button key="start" variant="primary" iconName="play" disabled={!ready}>{t('consume.start')}</Button>}
                <Button formAction="none" disabled={run.rows.length === 0} onClick={run.clear}>{t('consume.clear')}</Button>
                <Button formAction="none" iconName="download" disabled={run.rows.length === 0} ariaLabel={t('action.export')} onClick={() => download(`${queue.name}-consumed.ndjson`, 'application/x-ndjson', ndjson(run.rows.map((r) => ({ sequence: r.meta?.sequence ?? 0, sent: r.meta?.sent ?? '', labels: r.tags, body: r.body, ...(r.meta?.id ? { id: r.meta.id } : {}), ...(r.attributes ? { attributes: r.attributes } : {}) }))))} />
                {run.running && (
                  <StatusIndicator type="in-progress">
                    {t('consume.progress', { got: run.got, want: count })} · {run.asking ? t('consume.asking') : t('consume.nextin', { n: left })}
                  </StatusIndicator>
                )}
              </SpaceBetween>
              {run.error !== null && <Failure error={run.error} />}
            </SpaceBetween>
          </form>
        )}
      </Container>
      <div aria-live="polite" className="quiet">{run.rows.length > 0 ? t('consume.progress', { got: run.got, want: count }) : ''}</div>
      {run.rows.length === 0 ? <p className="hint">{t('consume.empty')}</p> : (
        <ol className="taken">
          {run.rows.map((r) => <Row key={r.key} row={r} queue={queue.id} now={now} ackWait={wait} settle={run.settle} />)}
        </ol>
      )}
    </SpaceBetween>
  );
}

function Row({ row, queue, now, ackWait, settle }: { row: Taken; queue: string; now: number; ackWait: number; settle: (r: Taken, s: 'success' | 'fail') => Promise<void> }) {
  const t = useT();
  const f = useFormat();
  const left = Math.max(0, Math.ceil((row.deadline - now) / 1000));
  return (
    <li data-fate={row.fate}>
      <div className="taken-head">
        <span className="number">{f.clock(row.received)}</span>
        <span className="number">{f.bytes(new TextEncoder().encode(row.body).length)}</span>
        {row.meta && <span>{t('viewer.title', { n: f.count(row.meta.sequence) })}, {t('consume.nth', { n: row.meta.delivery_count })}</span>}
        <span className="grow" />
        {row.fate === 'acked' && <StatusIndicator type="success">{t('consume.acked')}</StatusIndicator>}
        {row.fate === 'failed' && <StatusIndicator type="error">{t('consume.failed')}</StatusIndicator>}
        {row.fate === 'returns' && <StatusIndicator type="warning">{t('consume.returns')}</StatusIndicator>}
        {row.fate === 'held' && (
          <span className="countdown">
            <meter min={0} max={Math.max(ackWait, left)} low={10} optimum={ackWait} value={left} aria-label={t('consume.left', { n: left })} />
            {t('consume.seconds', { n: left })}
          </span>
        )}
        {row.fate === 'held' && (
          <SpaceBetween direction="horizontal" size="xxs" alignItems="center">
            <Button iconName="check" onClick={() => void settle(row, 'success')}>{t('consume.ack')}</Button>
            <Button iconName="close" onClick={() => void settle(row, 'fail')}>{t('consume.fail')}</Button>
            <AsCode request={ackRequest(queue, row.group, row.dead, [row.handler], 'success')} />
          </SpaceBetween>
        )}
      </div>
      {row.error !== undefined && <Alert type="error">{sentence(t, row.error)}</Alert>}
      <ExpandableSection headerText={<span className="cell"><Visible text={oneLine(row.body, 100)} /></span>}>
        <Body body={row.body} />
      </ExpandableSection>
    </li>
  );
}
