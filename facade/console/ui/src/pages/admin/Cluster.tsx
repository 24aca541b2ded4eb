import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator, { type StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { send } from '../../api/http';
import { auditPage, showCluster } from '../../api/queries';
import type { Cluster as State, ClusterNode } from '../../api/types';
import { clusterEvery } from '../../app/cluster';
import { useFlash } from '../../app/flash';
import { PageHeader } from '../../app/page';
import { usePreferences } from '../../app/preferences';
import { useFormat } from '../../app/words';
import { useT } from '../../i18n';
import { download } from '../../lib/export';
import { behind, fullness, standing, verdict, type Standing } from '../../lib/verdict';
import { useLive } from '../../live/live';
import { AsCode } from '../../parts/code';
import { Copy } from '../../parts/copy';
import { Dialog } from '../../parts/dialog';
import { Empty, Failure, Needs, Skeleton } from '../../parts/states';
import { Num, Time, To, Visible } from '../../parts/text';
import { Tiles } from '../../parts/tiles';

export default function Cluster() {
  const t = useT();
  return (
    <Needs permission="operate" header={<PageHeader title={t('nav.cluster')} description={t('cluster.lead')} />}>
      <Health />
    </Needs>
  );
}

const request = { method: 'GET', path: '/admin/v1/cluster' } as const;
const marks: Record<Standing, StatusIndicatorProps.Type> = { safe: 'success', none: 'warning', behind: 'warning', full: 'error', stopped: 'error' };
const then = { safe: 'cluster.ifsafe', none: 'cluster.ifnone', behind: 'cluster.ifnone', full: 'cluster.ifnone', stopped: 'cluster.ifstopped' } as const;

function Health() {
  const t = useT();
  const f = useFormat();
  const live = useLive();
  const flash = useFlash();
  const found = useQuery({ ...showCluster(), refetchInterval: live.every(clusterEvery) });
  const c = found.data;
  const report = async () => {
    // What may be told without the trail is told without it.
    const events = await auditPage('', true, {}).catch(() => null);
    download('dms-cluster.json', 'application/json', JSON.stringify({ at: new Date().toISOString(), cluster: c, service_events: events?.records ?? null }, null, 2));
    if (!events) flash({ type: 'warning', content: t('state.partial') });
  };
  const header = (
    <PageHeader
      title={t('nav.cluster')}
      description={t('cluster.lead')}
      actions={
        <SpaceBetween direction="horizontal" size="xs" alignItems="center">
          <AsCode request={request} />
          {c && <Copy variant="button" text={JSON.stringify(c, null, 2)} label={t('cluster.copy')} />}
          <Button iconName="download" disabled={!c} onClick={() => void report()}>{t('cluster.report')}</Button>
        </SpaceBetween>
      }
    />
  );
  if (!c) {
    return (
      <SpaceBetween size="l">
        {header}
        {found.error ? <Failure error={found.error} retry={() => void found.refetch()} /> : <Skeleton lines={6} />}
      </SpaceBetween>
    );
  }
  const how = standing(c);
  const worst = c.nodes.reduce<number | null>((most, n) => Math.max(most ?? 0, fullness(n.disk) ?? 0), null);
  const open = c.nodes.flatMap((n) => n.findings).filter((x) => x.state !== 'repaired').length;
  return (
    <SpaceBetween size="l">
      {header}
      {found.error && <Failure error={found.error} retry={() => void found.refetch()} />}
      <Container>
        <p className="verdict"><StatusIndicator type={marks[how]}>{t(...verdict(c))}</StatusIndicator></p>
        <p className="muted verdict-then"><strong>{t('cluster.if')}:</strong> {t(then[how])}</p>
      </Container>
      <Tiles
        items={[
          { label: t('cluster.members'), value: `${f.count(c.up)} / ${f.count(c.size)}`, alert: c.up < c.size },
          { label: t('cluster.leader'), value: c.leader || t('cluster.noleader'), alert: c.leader === '' },
          { label: t('cluster.behindn'), value: f.count(behind(c)), alert: behind(c) > 0 },
          { label: t('cluster.disk'), value: f.percent(worst), alert: c.nodes.some((n) => n.disk.full) },
          { label: t('cluster.findings'), value: f.count(open), alert: open > 0 },
        ]}
      />
      <Nodes cluster={c} />
      <Findings nodes={c.nodes} />
    </SpaceBetween>
  );
}

interface NodeRow {
  name: string;
  node: ClusterNode | null;
}

const sum = (n: ClusterNode | null, pick: (m: ClusterNode['members'][number]) => number) => (n ? n.members.reduce((all, m) => all + pick(m), 0) : null);

function Nodes({ cluster }: { cluster: State }) {
  const t = useT();
  const f = useFormat();
  const { preferences } = usePreferences();
  const [removing, setRemoving] = useState<string | null>(null);
  const list: NodeRow[] = [...cluster.nodes.map((node) => ({ name: node.name, node })), ...cluster.silent_members.map((name) => ({ name, node: null }))];
  return (
    <>
      <Table
        items={list}
        trackBy="name"
        contentDensity={preferences.density}
        enableKeyboardNavigation
        wrapLines
        ariaLabels={{ tableLabel: t('cluster.nodes') }}
        header={<Header variant="h2" counter={`(${list.length})`}>{t('cluster.nodes')}</Header>}
        columnDefinitions={[
          { id: 'name', header: t('cluster.node'), isRowHeader: true, minWidth: 110, cell: (r) => (r.node ? <To path={`/admin/cluster/${encodeURIComponent(r.name)}`}>{r.name}</To> : r.name) },
          {
            id: 'state', header: t('cluster.state'), minWidth: 150,
            cell: (r) => (!r.node ? <StatusIndicator type="error">{t('cluster.silent')}</StatusIndicator> : (
              <>
                <StatusIndicator type={r.node.ready ? 'success' : 'warning'}>{t(r.node.ready ? 'cluster.ready' : 'cluster.notready')}</StatusIndicator>
                {r.node.reason && <div className="muted" lang="en">{r.node.reason}</div>}
                {r.node.members.some((m) => m.name === cluster.leader) && <div className="muted">{t('cluster.isleader')}</div>}
              </>
            )),
          },
          { id: 'streams', header: t('cluster.streams'), cell: (r) => <Num>{f.count(sum(r.node, (m) => m.led_streams))}</Num> },
          { id: 'behind', header: t('cluster.behindn'), cell: (r) => <Num bad={(sum(r.node, (m) => m.replicas_behind + m.replicas_offline) ?? 0) > 0}>{f.count(sum(r.node, (m) => m.replicas_behind + m.replicas_offline))}</Num> },
          { id: 'stored', header: t('cluster.stored'), minWidth: 110, cell: (r) => <Num>{f.bytes(sum(r.node, (m) => m.stored_bytes))}</Num> },
          { id: 'disk', header: t('cluster.diskof'), minWidth: 160, cell: (r) => (r.node ? <Num bad={r.node.disk.full}>{t('cluster.free', { free: f.bytes(r.node.disk.free_bytes), total: f.bytes(r.node.disk.total_bytes) })}</Num> : '–') },
          { id: 'uptime', header: t('cluster.uptime'), cell: (r) => <Num>{f.duration(r.node?.uptime_seconds)}</Num> },
          { id: 'version', header: t('cluster.version'), cell: (r) => <span className="cell">{r.node?.version ?? '–'}</span> },
          ...(cluster.silent_members.length === 0 ? [] : [{ id: 'actions', header: t('alarms.actions'), minWidth: 110, cell: (r: NodeRow) => !r.node && <Button variant="inline-link" ariaLabel={`${t('cluster.remove')} ${r.name}`} onClick={() => setRemoving(r.name)}>{t('cluster.remove')}</Button> }]),
        ]}
      />
      {removing !== null && <Remove name={removing} onClose={() => setRemoving(null)} />}
    </>
  );
}

function Remove({ name, onClose }: { name: string; onClose: () => void }) {
  const t = useT();
  const flash = useFlash();
  const client = useQueryClient();
  const gone = { method: 'DELETE', path: `/admin/v1/cluster/members/${encodeURIComponent(name)}` } as const;
  const run = async () => {
    await send('', gone);
    flash({ type: 'success', content: t('cluster.removed', { name }) });
    await client.invalidateQueries({ queryKey: ['cluster'] });
  };
  return (
    <Dialog title={t('cluster.removetitle', { name })} act={t('action.remove')} word={name} code={{ request: gone }} run={run} onClose={onClose}>
      <Alert type="warning">{t('cluster.removetext')}</Alert>
    </Dialog>
  );
}

const states: Record<ClusterNode['findings'][number]['state'], StatusIndicatorProps.Type> = { found: 'warning', repairing: 'in-progress', repaired: 'success', failed: 'error' };

/** Findings lists replicas that were not what the others are. */
export function Findings({ nodes }: { nodes: ClusterNode[] }) {
  const t = useT();
  const { preferences } = usePreferences();
  const list = nodes.flatMap((n) => n.findings).sort((a, b) => (a.at < b.at ? 1 : -1));
  return (
    <Table
      items={list}
      contentDensity={preferences.density}
      enableKeyboardNavigation
      wrapLines
      ariaLabels={{ tableLabel: t('cluster.findings') }}
      header={<Header variant="h2" counter={list.length > 0 ? `(${list.length})` : ''}>{t('cluster.findings')}</Header>}
      columnDefinitions={[
        { id: 'at', header: t('audit.when'), isRowHeader: true, minWidth: 180, cell: (x) => <span className="number"><Time at={x.at} /></span> },
        { id: 'state', header: t('cluster.state'), minWidth: 150, cell: (x) => <StatusIndicator type={states[x.state]}>{t(`finding.${x.state}`)}</StatusIndicator> },
        { id: 'member', header: t('cluster.member'), cell: (x) => x.member },
        { id: 'project', header: t('cluster.project'), cell: (x) => (x.project ? <span className="cell">{x.project}</span> : t('cluster.own')) },
        { id: 'stream', header: t('cluster.stream'), cell: (x) => <span className="cell">{x.stream}</span> },
        { id: 'what', header: t('cluster.what'), minWidth: 200, cell: (x) => <span lang="en"><Visible text={x.what} /></span> },
      ]}
      empty={<Empty good title={`✓ ${t('cluster.nofindings')}`} />}
    />
  );
}
