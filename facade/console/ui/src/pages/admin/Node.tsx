import ProgressBar from '@cloudscape-design/components/progress-bar';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import { useQuery } from '@tanstack/react-query';
import { useParams } from 'react-router';
import { showCluster } from '../../api/queries';
import { clusterEvery } from '../../app/cluster';
import { PageHeader } from '../../app/page';
import { usePreferences } from '../../app/preferences';
import { useFormat } from '../../app/words';
import { useT } from '../../i18n';
import { fullness } from '../../lib/verdict';
import { useLive } from '../../live/live';
import { Empty, Failure, Needs, Skeleton } from '../../parts/states';
import { Num } from '../../parts/text';
import { Findings } from './Cluster';

export default function Node() {
  const t = useT();
  const { node = '' } = useParams();
  const header = <PageHeader title={node} above={[{ text: t('nav.cluster'), path: '/admin/cluster' }]} />;
  return <Needs permission="operate" header={header}><One name={node} /></Needs>;
}

function One({ name }: { name: string }) {
  const t = useT();
  const f = useFormat();
  const live = useLive();
  const { preferences } = usePreferences();
  const found = useQuery({ ...showCluster(), refetchInterval: live.every(clusterEvery) });
  const node = found.data?.nodes.find((n) => n.name === name);
  const header = (
    <PageHeader
      title={name}
      above={[{ text: t('nav.cluster'), path: '/admin/cluster' }]}
      info={node && <StatusIndicator type={node.ready ? 'success' : 'warning'}>{node.ready ? t('cluster.ready') : `${t('cluster.notready')}${node.reason ? `: ${node.reason}` : ''}`}</StatusIndicator>}
      description={node && <>{t('cluster.version')} <span className="cell">{node.version}</span> · {t('cluster.uptime')} {f.duration(node.uptime_seconds)}</>}
    />
  );
  if (!node) {
    return (
      <SpaceBetween size="l">
        {header}
        {found.error ? <Failure error={found.error} retry={() => void found.refetch()} /> : found.data ? <Empty title={t('cluster.silent')} text={t('cluster.nonode')} /> : <Skeleton lines={6} />}
      </SpaceBetween>
    );
  }
  const used = fullness(node.disk);
  return (
    <SpaceBetween size="l">
      {header}
      {found.error && <Failure error={found.error} retry={() => void found.refetch()} />}
      <Container header={<Header variant="h2">{t('cluster.diskof')}</Header>}>
        <SpaceBetween size="m">
          <ProgressBar
            ariaLabel={t('cluster.diskof')}
            value={(used ?? 0) * 100}
            status={node.disk.full ? 'error' : 'in-progress'}
            resultText={t('cluster.full')}
            additionalInfo={t('cluster.free', { free: f.bytes(node.disk.free_bytes), total: f.bytes(node.disk.total_bytes) })}
            description={t('cluster.keepfree', { keep: f.bytes(node.disk.keep_free_bytes) })}
          />
          <KeyValuePairs items={[{ label: t('cluster.reserve'), value: f.bytes(node.disk.reserve_bytes) }]} />
        </SpaceBetween>
      </Container>
      <Table
        items={node.members}
        trackBy="name"
        contentDensity={preferences.density}
        enableKeyboardNavigation
        wrapLines
        ariaLabels={{ tableLabel: t('cluster.membershere') }}
        header={<Header variant="h2" counter={`(${node.members.length})`}>{t('cluster.membershere')}</Header>}
        columnDefinitions={[
          { id: 'name', header: t('cluster.member'), isRowHeader: true, cell: (m) => m.name },
          {
            id: 'state', header: t('cluster.state'), minWidth: 180,
            cell: (m) => (
              <>
                <StatusIndicator type={m.up ? 'success' : 'error'}>{t(m.up ? 'cluster.up' : 'cluster.down')}</StatusIndicator>
                {m.reason && <div className="muted" lang="en">{m.reason}</div>}
                {m.name === found.data?.leader && <div className="muted">{t('cluster.isleader')}</div>}
              </>
            ),
          },
          { id: 'sees', header: t('cluster.sees'), cell: (m) => m.sees || '–' },
          { id: 'streams', header: t('cluster.streams'), cell: (m) => <Num>{f.count(m.led_streams)}</Num> },
          { id: 'consumers', header: t('cluster.consumers'), cell: (m) => <Num>{f.count(m.led_consumers)}</Num> },
          { id: 'groups', header: t('cluster.raft'), cell: (m) => <Num>{f.count(m.raft_groups)}</Num> },
          { id: 'behind', header: t('cluster.behindn'), cell: (m) => <Num bad={m.replicas_behind > 0}>{f.count(m.replicas_behind)}</Num> },
          { id: 'offline', header: t('cluster.offline'), cell: (m) => <Num bad={m.replicas_offline > 0}>{f.count(m.replicas_offline)}</Num> },
          { id: 'stored', header: t('cluster.stored'), minWidth: 170, cell: (m) => <Num>{t('usage.of', { used: f.bytes(m.stored_bytes), quota: f.bytes(m.stored_bytes_limit) })}</Num> },
          { id: 'restarts', header: t('cluster.restarts'), cell: (m) => <Num bad={m.restarts > 0}>{f.count(m.restarts)}</Num> },
        ]}
      />
      <Findings nodes={[node]} />
    </SpaceBetween>
  );
}
