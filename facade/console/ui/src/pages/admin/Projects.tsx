import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { json, send } from '../../api/http';
import { listProjects } from '../../api/queries';
import type { Project } from '../../api/types';
import { PageHeader } from '../../app/page';
import { usePreferences } from '../../app/preferences';
import { useFormat } from '../../app/words';
import { useT } from '../../i18n';
import { Dialog } from '../../parts/dialog';
import { Empty, Failure, Needs } from '../../parts/states';
import { Num, Visible } from '../../parts/text';

const gib = 1024 ** 3;

export default function Projects() {
  const t = useT();
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('nav.projects')} description={t('projects.lead')} />
      <Needs permission="operate">
        <List />
      </Needs>
    </SpaceBetween>
  );
}

function List() {
  const t = useT();
  const f = useFormat();
  const { preferences } = usePreferences();
  const projects = useQuery(listProjects());
  const client = useQueryClient();
  const [find, setFind] = useState('');
  const [open, setOpen] = useState<{ project: Project | null; what: 'edit' | 'delete' } | null>(null);
  const wanted = find.trim().toLowerCase();
  const list = (projects.data ?? []).filter((p) => `${p.id} ${p.name}`.toLowerCase().includes(wanted));
  return (
    <>
      {projects.error && <Failure error={projects.error} retry={() => void projects.refetch()} />}
      <Table
        items={list.slice(0, 200)}
        trackBy="id"
        loading={projects.isPending}
        loadingText={t('state.loading')}
        contentDensity={preferences.density}
        enableKeyboardNavigation
        ariaLabels={{ tableLabel: t('nav.projects') }}
        filter={<div data-filter><Input type="search" ariaLabel={t('projects.find')} placeholder={t('projects.find')} value={find} clearAriaLabel={t('action.clear')} onChange={(e) => setFind(e.detail.value)} /></div>}
        header={<Header counter={projects.data ? `(${f.count(list.length)})` : ''} actions={<Button variant="primary" onClick={() => setOpen({ project: null, what: 'edit' })}>{t('projects.create')}</Button>}>{t('nav.projects')}</Header>}
        columnDefinitions={[
          { id: 'name', header: t('projects.name'), isRowHeader: true, cell: (p) => <Visible text={p.name || '–'} /> },
          { id: 'id', header: t('projects.id'), cell: (p) => <span className="cell">{p.id}</span>, minWidth: 290 },
          { id: 'queues', header: t('projects.queues'), cell: (p) => <Num>{f.count(p.limits.queues)}</Num> },
          { id: 'groups', header: t('projects.groups'), cell: (p) => <Num>{f.count(p.limits.groups_per_queue)}</Num> },
          { id: 'bytes', header: t('projects.bytes'), cell: (p) => <Num>{f.bytes(p.limits.stored_bytes)}</Num> },
          {
            id: 'actions', header: t('alarms.actions'), minWidth: 180,
            cell: (p) => (
              <SpaceBetween direction="horizontal" size="xs">
                <Button variant="inline-link" ariaLabel={`${t('projects.change')} ${p.name}`} onClick={() => setOpen({ project: p, what: 'edit' })}>{t('projects.change')}</Button>
                <Button variant="inline-link" ariaLabel={`${t('action.delete')} ${p.name}`} onClick={() => setOpen({ project: p, what: 'delete' })}>{t('action.delete')}</Button>
              </SpaceBetween>
            ),
          },
        ]}
        empty={<Empty title={t('projects.none')} />}
      />
      {open?.what === 'edit' && <Edit project={open.project} onClose={() => setOpen(null)} />}
      {open?.what === 'delete' && (
        <Dialog
          title={t('projects.delete')}
          act={t('action.delete')}
          word={open.project!.name || open.project!.id}
          code={{ request: { method: 'DELETE', path: `/admin/v1/projects/${open.project!.id}` } }}
          run={async () => {
            await send('', { method: 'DELETE', path: `/admin/v1/projects/${open.project!.id}` });
            await client.invalidateQueries({ queryKey: ['projects'] });
          }}
          onClose={() => setOpen(null)}
        >
          {t('projects.deletetext')}
        </Dialog>
      )}
    </>
  );
}

function Edit({ project, onClose }: { project: Project | null; onClose: () => void }) {
  const t = useT();
  const client = useQueryClient();
  const [name, setName] = useState(project?.name ?? '');
  const [queues, setQueues] = useState(String(project?.limits.queues ?? 30));
  const [groups, setGroups] = useState(String(project?.limits.groups_per_queue ?? 3));
  const [bytes, setBytes] = useState(String((project?.limits.stored_bytes ?? 10 * gib) / gib));
  const body = { name, limits: { queues: Number(queues), groups_per_queue: Number(groups), stored_bytes: Math.round(Number(bytes) * gib) } };
  const request = { method: project ? 'PATCH' : 'POST', path: '/admin/v1/projects' + (project ? `/${project.id}` : ''), body: JSON.stringify(body) } as const;
  const { limits } = body;
  const valid = name.length <= 64 && Number.isInteger(limits.queues) && limits.queues >= 0 && limits.queues <= 500 && Number.isInteger(limits.groups_per_queue) && limits.groups_per_queue >= 1 && limits.groups_per_queue <= 100 && limits.stored_bytes >= 1_048_576;
  const field = (label: string, value: string, set: (v: string) => void) => (
    <FormField label={label}><Input type="number" value={value} onChange={(e) => set(e.detail.value)} /></FormField>
  );
  return (
    <Dialog
      title={project ? `${t('projects.change')} ${project.name}` : t('projects.create')}
      act={t(project ? 'action.save' : 'action.create')}
      disabled={!valid}
      code={{ request }}
      run={async () => {
        await json('', request);
        await client.invalidateQueries({ queryKey: ['projects'] });
      }}
      onClose={onClose}
    >
      <FormField label={t('projects.name')}><Input value={name} onChange={(e) => setName(e.detail.value)} /></FormField>
      {field(t('projects.queues'), queues, setQueues)}
      {field(t('projects.groups'), groups, setGroups)}
      {field(t('projects.gib'), bytes, setBytes)}
    </Dialog>
  );
}
