import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { showRange } from '../api/queries';
import { useProject } from '../app/session';
import { useFormat } from '../app/words';
import { useT } from '../i18n';
import { useLive } from '../live/live';
import { TimeChart, type Line } from '../parts/chart';
import { times, total, useRange } from '../parts/charts';
import type { Row } from './queues';

/** Top shows the backlog of the five queues where most waits. */
export default function Top({ rows }: { rows: Row[] }) {
  const t = useT();
  const f = useFormat();
  const live = useLive();
  const project = useProject();
  const [seconds, picker] = useRange();
  const found = useQuery({ ...showRange(project, { metrics: ['available_messages'], seconds }), refetchInterval: live.every(seconds <= 3600 ? 10_000 : 60_000) });
  const top = JSON.stringify([...rows].sort((a, b) => (b.figures?.available ?? -1) - (a.figures?.available ?? -1)).slice(0, 5).map((r) => [r.queue.id, r.queue.name]));
  const lines = useMemo(() => {
    const at = times(found.data).length;
    return (JSON.parse(top) as [string, string][]).flatMap(([id, name], i): Line[] => {
      const own = found.data && { ...found.data, series: found.data.series.filter((s) => s.queue_id === id) };
      const values = total(own, 'available_messages');
      return values.length === at && at > 0 ? [{ name, values, color: ((i % 4) + 1) as 1 | 2 | 3 | 4, ...(i === 4 ? { dash: true } : {}) }] : [];
    });
  }, [found.data, top]);
  const at = useMemo(() => times(found.data), [found.data]);
  return (
    <div>
      <div className="range">{picker}</div>
      <TimeChart title={t('overview.top')} times={at} lines={lines} write={f.short} seconds={seconds} loading={found.isPending} height={260} />
    </div>
  );
}
