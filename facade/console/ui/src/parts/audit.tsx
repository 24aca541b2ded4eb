import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { auditPage, auditRoot, verifyAudit, type AuditFilter } from '../api/queries';
import type { AuditRecord, AuditReport } from '../api/types';
import { usePreferences } from '../app/preferences';
import { useProject } from '../app/session';
import { useFormat } from '../app/words';
import { useT } from '../i18n';
import { csv, download } from '../lib/export';
import { AsCode } from './code';
import { Empty, Failure } from './states';
import { Time, Visible } from './text';

const who = (a: AuditRecord['actor']) => a?.subject ?? a?.key_id ?? a?.client ?? '–';
const target = (r: AuditRecord) => Object.entries(r.object ?? {}).filter(([k]) => k !== 'project').map(([k, v]) => `${k} ${Array.isArray(v) ? v.join(', ') : v}`).join(' · ') || [...new Set((r.counts ?? []).flatMap((c) => (c.queue ? [`queue ${c.queue}`] : [])))].join(' · ') || (r.object?.project ?? '–');

export function AuditTable({ service }: { service: boolean }) {
  const t = useT();
  const f = useFormat();
  const project = useProject();
  const { preferences } = usePreferences();
  const [action, setAction] = useState('');
  const [actor, setActor] = useState('');
  const [filter, setFilter] = useState<AuditFilter>({});
  const [report, setReport] = useState<AuditReport | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const found = useInfiniteQuery({
    queryKey: ['audit', project, service, filter],
    queryFn: ({ pageParam }) => auditPage(project, service, filter, pageParam || undefined),
    initialPageParam: '',
    getNextPageParam: (last) => last.next,
  });
  const list = useMemo(() => found.data?.pages.flatMap((p) => p.records) ?? [], [found.data]);
  const what = (r: AuditRecord) => {
    if (r.kind === 'change') return r.action ?? '';
    return (r.counts ?? []).map((c) => (r.kind === 'refusal' ? `${t('audit.refused', { n: c.calls })} ${c.code ?? ''} ${c.action ?? ''}` : t('audit.calls', { n: c.calls, action: c.action ?? '' }))).join('; ');
  };
  const actorOf = (r: AuditRecord) => (r.actor ? who(r.actor) : [...new Set((r.counts ?? []).map((c) => who(c.actor)))].join(', ') || '–');
  const source = (r: AuditRecord) => r.source ?? ([...new Set((r.counts ?? []).map((c) => c.source).filter(Boolean))].join(', ') || '–');
  const verify = async () => {
    setBusy(true);
    setError(null);
    try {
      setReport(await verifyAudit(project, service));
    } catch (err) {
      setError(err);
    }
    setBusy(false);
  };
  const save = () => download('audit.csv', 'text/csv', csv(['sequence', 'time', 'kind', 'actor', 'action', 'object', 'source', 'status', 'code', 'request_id', 'hash'], list.map((r) => [r.sequence, r.time, r.kind, actorOf(r), what(r), target(r), source(r), r.status ?? '', r.code ?? '', r.request_id ?? '', r.hash])));
  return (
    <SpaceBetween size="m">
      <form className="toolbar" onSubmit={(e) => (e.preventDefault(), setFilter({ ...(action ? { action } : {}), ...(actor ? { actor } : {}) }))}>
        <div data-filter><FormField label={t('audit.action')}><Input type="search" value={action} placeholder="createQueue" onChange={(e) => setAction(e.detail.value)} clearAriaLabel={t('action.clear')} /></FormField></div>
        <FormField label={t('audit.actor')}><Input type="search" value={actor} onChange={(e) => setActor(e.detail.value)} clearAriaLabel={t('action.clear')} /></FormField>
        <Button iconName="filter">{t('action.apply')}</Button>
      </form>
      <div aria-live="polite">
        {report && <Alert type={report.intact ? 'success' : 'error'} dismissible onDismiss={() => setReport(null)} dismissAriaLabel={t('action.dismiss')}>{report.intact ? t('audit.intact', { n: f.count(report.records) }) : t('audit.broken', { n: report.broken?.sequence, reason: report.broken?.reason })}</Alert>}
        {error !== null && <Failure error={error} />}
      </div>
      {found.error && <Failure error={found.error} retry={() => void found.refetch()} />}
      <Table
        items={list}
        trackBy={(r) => String(r.sequence)}
        loading={found.isPending}
        loadingText={t('state.loading')}
        contentDensity={preferences.density}
        enableKeyboardNavigation
        wrapLines
        ariaLabels={{ tableLabel: t('nav.audit') }}
        header={
          <Header
            counter={list.length > 0 ? `(${f.count(list.length)}${found.hasNextPage ? '+' : ''})` : ''}
            actions={
              <SpaceBetween direction="horizontal" size="xs" alignItems="center">
                <AsCode request={{ method: 'GET', path: auditRoot(service), query: { ...filter, limit: 100 } }} />
                <Button iconName="refresh" ariaLabel={t('action.refresh')} onClick={() => void found.refetch()} />
                <Button loading={busy} onClick={() => void verify()}>{t('audit.verify')}</Button>
                <Button iconName="download" disabled={list.length === 0} onClick={save}>{t('action.export')}</Button>
              </SpaceBetween>
            }
          >
            {t(service ? 'nav.events' : 'nav.audit')}
          </Header>
        }
        columnDefinitions={[
          { id: 'time', header: t('audit.when'), isRowHeader: true, width: 200, cell: (r) => <span className="number"><Time at={r.time} /></span> },
          { id: 'who', header: t('audit.who'), width: 130, cell: (r) => <Visible text={actorOf(r)} /> },
          { id: 'what', header: t('audit.what'), width: 220, cell: (r) => <span className="cell">{what(r)}</span> },
          { id: 'object', header: t('audit.object'), minWidth: 200, cell: (r) => <span className="cell"><Visible text={target(r)} /></span> },
          { id: 'source', header: t('audit.from'), width: 130, cell: (r) => source(r) },
          { id: 'result', header: t('audit.result'), width: 120, cell: (r) => (r.status === undefined ? '–' : <StatusIndicator type={r.status < 400 ? 'success' : r.status >= 500 ? 'warning' : 'error'}>{r.status}</StatusIndicator>) },
        ]}
        empty={<Empty title={t('audit.none')} text={t('audit.nonetext')} />}
        footer={found.hasNextPage && <Button loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>{t('action.more')}</Button>}
      />
    </SpaceBetween>
  );
}
