import SegmentedControl from '@cloudscape-design/components/segmented-control';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useSearchParams } from 'react-router';
import { rates } from '../api/figures';
import { listAlarms, showRange } from '../api/queries';
import type { Alarm, Metrics, Series } from '../api/types';
import { useProject } from '../app/session';
import { useFormat } from '../app/words';
import { useLocale, useT } from '../i18n';
import { useLive } from '../live/live';
import { TimeChart, type Rule } from './chart';
import { Failure } from './states';

const ranges: [string, number][] = [['15m', 900], ['1h', 3600], ['6h', 21_600], ['24h', 86_400], ['3d', 259_200]];

/** useRange keeps the range in the address, so that a link shows the same. */
export function useRange(): [number, React.ReactNode] {
  const t = useT();
  const locale = useLocale();
  const [params, setParams] = useSearchParams();
  const id = params.get('range') ?? '1h';
  const seconds = ranges.find(([r]) => r === id)?.[1] ?? 3600;
  return [
    seconds,
    <SegmentedControl
      key="range"
      label={t('chart.range')}
      selectedId={ranges.some(([r]) => r === id) ? id : '1h'}
      options={ranges.map(([r]) => ({ id: r, text: locale === 'fr' ? r.replace('d', 'j').replace('m', 'min') : r.replace('m', 'min') }))}
      onChange={(e) => setParams((p) => (p.set('range', e.detail.selectedId), p), { replace: true })}
    />,
  ];
}

type Values = (number | null)[];

/** total adds up the series of a metric; with highest, it takes the largest. */
export function total(m: Metrics | undefined, metric: string, highest = false, map: (s: Series) => Values = (s) => s.points.map((p) => p.value)): Values {
  let sum: Values = [];
  for (const s of m?.series ?? []) {
    if (s.metric !== metric) continue;
    const v = map(s);
    sum = sum.length === 0 ? v : sum.map((x, i) => {
      const y = v[i] ?? null;
      return x === null ? y : y === null ? x : highest ? Math.max(x, y) : x + y;
    });
  }
  return sum;
}

export function times(m: Metrics | undefined): number[] {
  const first = m?.series[0];
  return first ? first.points.map((p) => p.timestamp) : [];
}

function alarmRules(alarms: Alarm[] | undefined, metric: string, queue: string, name: (a: Alarm) => string, group?: string): Rule[] {
  return (alarms ?? [])
    .filter((a) => a.enabled && a.metric === metric && (a.queue_id === null || a.queue_id === queue) && (a.group_id === null || !group || a.group_id === group))
    .map((a) => ({ name: name(a), at: a.threshold }));
}

interface Props {
  queue: string;
  group?: string;
  /** Seconds that messages are kept. */
  retention?: number;
}

const never = 2_592_000; // what time_to_drain is while a backlog does not shrink

/** Charts are those of a queue, or of one of its groups. */
export function Charts({ queue, group, retention }: Props) {
  const t = useT();
  const f = useFormat();
  const project = useProject();
  const live = useLive();
  const [seconds, picker] = useRange();
  const where = { queue, seconds, ...(group ? { group } : {}) };
  const every = seconds <= 3600 ? 10_000 : 60_000;
  const groups = useQuery({ ...showRange(project, { ...where, metrics: ['available_messages', 'in_flight_messages', 'oldest_message_age', 'time_to_drain', 'dead_avail_messages', 'delivered_messages', 'consumed_messages', 'failed_messages'] }), refetchInterval: live.every(every) });
  const own = useQuery({ ...showRange(project, { queue, seconds, metrics: ['produced_messages', 'stored_bytes'] }), refetchInterval: live.every(every) });
  const alarms = useQuery(listAlarms(project));

  const g = groups.data;
  const q = own.data;
  const rate = (s: Series) => rates(s.points);
  const lines = useMemo(
    () => ({
      waiting: total(g, 'available_messages'),
      flying: total(g, 'in_flight_messages'),
      oldest: total(g, 'oldest_message_age', true),
      drain: total(g, 'time_to_drain', true).map((v) => (v !== null && v >= never ? null : v)),
      dead: total(g, 'dead_avail_messages'),
      delivered: total(g, 'delivered_messages', false, rate),
      consumed: total(g, 'consumed_messages', false, rate),
      failed: total(g, 'failed_messages', false, rate),
      sent: total(q, 'produced_messages', false, rate),
      stored: total(q, 'stored_bytes'),
    }),
    [g, q],
  );
  const name = (a: Alarm) => t('chart.alarm', { name: a.name });
  const rules = (metric: string) => alarmRules(alarms.data?.alarms, metric, queue, name, group);
  const at = times(g).length > 0 ? times(g) : times(q);
  const fit = (v: Values) => (v.length === at.length ? v : at.map((_, i) => v[i] ?? null));
  const common = { times: at, seconds, loading: groups.isPending };
  if (groups.error && !g) return <Failure error={groups.error} retry={() => void groups.refetch()} />;
  return (
    <>
      <div className="range">{picker}</div>
      <div className="charts">
        <TimeChart {...common} title={t('chart.backlog')} write={f.short} rules={rules('available_messages')} lines={[{ name: t('chart.waiting'), values: fit(lines.waiting), fill: true }, { name: t('chart.inflight'), values: fit(lines.flying), dash: true }]} />
        <TimeChart {...common} title={t('chart.throughput')} write={f.short} lines={[
          ...(group ? [] : [{ name: t('chart.sent'), values: fit(lines.sent), color: 2 as const }]),
          { name: t('chart.delivered'), values: fit(lines.delivered), color: 1 as const },
          { name: t('chart.consumed'), values: fit(lines.consumed), color: 3 as const },
          { name: t('chart.failed'), values: fit(lines.failed), color: 4 as const, dash: true },
        ]} />
        <TimeChart {...common} title={t('chart.age')} write={f.duration} rules={[...rules('oldest_message_age'), ...(retention && lines.oldest.some((v) => v !== null && v > retention * 0.4) ? [{ name: t('chart.retention'), at: retention }] : [])]} lines={[{ name: t('chart.oldest'), values: fit(lines.oldest), fill: true }]} />
        <TimeChart {...common} title={t('chart.dead')} write={f.short} rules={rules('dead_avail_messages')} lines={[{ name: t('chart.dead'), values: fit(lines.dead), color: 4, fill: true }]} />
        <TimeChart {...common} title={t('chart.drain')} write={f.duration} lines={[{ name: t('chart.drain'), values: fit(lines.drain), color: 3 }]} />
        {!group && <TimeChart {...common} title={t('chart.stored')} write={f.bytes} lines={[{ name: t('chart.stored'), values: fit(lines.stored), color: 2, fill: true }]} />}
      </div>
    </>
  );
}
