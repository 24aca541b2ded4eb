import 'uplot/dist/uPlot.min.css';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import { usePreferences } from '../app/preferences';
import { useFormat } from '../app/words';
import { useT } from '../i18n';
import { csv, download } from '../lib/export';

export interface Line {
  name: string;
  values: (number | null)[];
  color?: 1 | 2 | 3 | 4;
  dash?: boolean;
  fill?: boolean;
}

export interface Rule {
  name: string;
  at: number;
}

interface Props {
  title: string;
  /** Milliseconds since 1970. */
  times: number[];
  lines: Line[];
  rules?: Rule[];
  write: (n: number | null | undefined) => string;
  loading?: boolean;
  /** Seconds shown. */
  seconds: number;
  height?: number;
}

const dashes = (l: Line) => (l.dash ? [6, 4] : undefined);

/** TimeChart shows what something was over time, as lines or as a table, for eyes, keys and ears. */
export function TimeChart({ title, times, lines, rules = [], write, loading, seconds, height = 220 }: Props) {
  const t = useT();
  const { clock, moment } = useFormat();
  const { dark } = usePreferences();
  const [table, setTable] = useState(false);
  const [at, setAt] = useState<number | null>(null);
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const known = lines.some((l) => l.values.some((v) => v !== null));
  const shown = useRef({ times, lines });
  shown.current = { times, lines };

  const data = useMemo<uPlot.AlignedData>(
    () => [times.map((x) => x / 1000), ...lines.map((l) => l.values), ...rules.map((r) => times.map(() => r.at))],
    [times, lines, rules],
  );
  const shape = JSON.stringify([lines.map((l) => [l.name, l.color, l.dash, l.fill]), rules.map((r) => r.name), known, dark, height]);

  useEffect(() => {
    const root = place.current;
    if (!root || table || !known) return undefined;
    const style = getComputedStyle(document.body);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const axis = { stroke: color('--quiet'), grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line'), width: 1 }, font: `12px ${style.fontFamily}` };
    const { lines: now } = shown.current;
    const chart = new uPlot(
      {
        width: root.clientWidth || 400,
        height,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 } },
        scales: { x: { time: true }, y: { range: (_u, _min, max) => [0, Math.max(1, max * 1.1)] } },
        axes: [
          { ...axis, space: 70, size: 34, values: (_u, ticks) => ticks.map((s) => clock(s * 1000, seconds <= 900)) },
          { ...axis, size: (_u, labels) => 18 + 7 * Math.max(4, ...(labels ?? []).map((l) => l.length)), space: 36, values: (_u, ticks) => ticks.map((v) => write(v)) },
        ],
        series: [
          {},
          ...now.map((l, i): uPlot.Series => {
            const stroke = color(`--s${l.color ?? i + 1}`);
            const dash = dashes(l);
            return { label: l.name, stroke, width: 2, ...(l.fill ? { fill: stroke + '26' } : {}), ...(dash ? { dash } : {}), points: { show: false }, spanGaps: false };
          }),
          ...rules.map((r): uPlot.Series => ({ label: r.name, stroke: color('--bad'), width: 1.5, dash: [2, 3], points: { show: false } })),
        ],
        hooks: { setCursor: [(u) => setAt(u.cursor.idx ?? null)] },
      },
      data,
      root,
    );
    plot.current = chart;
    const watch = new ResizeObserver(() => chart.setSize({ width: root.clientWidth, height }));
    watch.observe(root);
    return () => {
      watch.disconnect();
      chart.destroy();
      plot.current = null;
    };
    // The data is set below: a chart is made anew only when it looks different.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [shape, table]);

  useEffect(() => plot.current?.setData(data), [data]);

  const move = (step: number) => {
    const n = times.length;
    if (n === 0) return;
    const next = Math.min(n - 1, Math.max(0, (at ?? n - (step < 0 ? 0 : 1)) + step));
    setAt(next);
    const chart = plot.current;
    if (chart) chart.setCursor({ left: chart.valToPos(times[next]! / 1000, 'x'), top: 0 });
  };
  const keys = (e: React.KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 }[e.key];
    if (step === undefined) return;
    e.preventDefault();
    move(step);
  };

  const newest = (l: Line) => l.values.findLast((v) => v !== null) ?? null;
  const summary = t('chart.summary', {
    title,
    series: lines.map((l) => t('chart.now', { name: l.name, now: write(newest(l)), max: write(l.values.reduce<number | null>((m, v) => (v === null ? m : Math.max(m ?? v, v)), null)) })).join('; '),
  });
  const save = () => download(title.toLowerCase().replace(/\W+/g, '-') + '.csv', 'text/csv', csv([t('chart.time'), ...lines.map((l) => l.name)], times.map((x, i) => [new Date(x).toISOString(), ...lines.map((l) => l.values[i] ?? '')])));

  return (
    <Container
      fitHeight
      header={
        <Header
          variant="h3"
          actions={
            known && (
              <SpaceBetween direction="horizontal" size="xxs">
                <Button variant="icon" iconName="download" ariaLabel={`${t('chart.export')}: ${title}`} onClick={save} />
                <Button variant="icon" iconName={table ? 'view-full' : 'list-view'} ariaLabel={`${t(table ? 'chart.chart' : 'chart.table')}: ${title}`} onClick={() => setTable(!table)} />
              </SpaceBetween>
            )
          }
        >
          {title}
        </Header>
      }
    >
      {!known && <div className="chart-empty" role="status">{loading ? t('state.loading') + '…' : t('chart.empty')}</div>}
      {known && (
        <ul className="legend">
          {lines.map((l, i) => (
            <li key={l.name}>
              <svg width="18" height="6" aria-hidden="true"><line x1="0" y1="3" x2="18" y2="3" stroke={`var(--s${l.color ?? i + 1})`} strokeWidth="3" strokeDasharray={l.dash ? '5 3' : undefined} /></svg>
              {l.name} <b>{write(at === null ? newest(l) : l.values[at])}</b>
            </li>
          ))}
          {rules.map((r) => (
            <li key={r.name}>
              <svg width="18" height="6" aria-hidden="true"><line x1="0" y1="3" x2="18" y2="3" stroke="var(--bad)" strokeWidth="2" strokeDasharray="2 3" /></svg>
              {r.name} <b>{write(r.at)}</b>
            </li>
          ))}
          {at !== null && times[at] !== undefined && <li className="legend-at">{clock(times[at])}</li>}
        </ul>
      )}
      {known && !table && (
        <>
          <div ref={place} className="chart" role="img" aria-label={summary} tabIndex={0} onKeyDown={keys} onBlur={() => setAt(null)} />
          <span className="quiet" role="status">{at !== null && document.activeElement === place.current && times[at] !== undefined ? `${moment(times[at])}: ${lines.map((l) => `${l.name} ${write(l.values[at])}`).join(', ')}` : ''}</span>
        </>
      )}
      {known && table && (
        <div className="scroll chart-table" tabIndex={0} role="region" aria-label={title}>
          <table>
            <thead>
              <tr><th scope="col">{t('chart.time')}</th>{lines.map((l) => <th scope="col" key={l.name}>{l.name}</th>)}</tr>
            </thead>
            <tbody>
              {times.map((x, i) => ({ x, i })).reverse().filter(({ i }) => lines.some((l) => l.values[i] !== null)).map(({ x, i }) => (
                <tr key={x}><th scope="row">{moment(x)}</th>{lines.map((l) => <td key={l.name}>{write(l.values[i])}</td>)}</tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Container>
  );
}
