import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Modal from '@cloudscape-design/components/modal';
import Multiselect from '@cloudscape-design/components/multiselect';
import RadioGroup from '@cloudscape-design/components/radio-group';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { json, send } from '../api/http';
import { listKeys, listQueues } from '../api/queries';
import type { AccessKey, AccessKeyWithSecret, NewAccessKey, Role } from '../api/types';
import { PageHeader } from '../app/page';
import { usePreferences } from '../app/preferences';
import { useProject, useWho } from '../app/session';
import { useT } from '../i18n';
import { Copy } from '../parts/copy';
import { Dialog } from '../parts/dialog';
import { Empty, Failure, Needs } from '../parts/states';
import { Time, Visible } from '../parts/text';

export default function AccessKeys() {
  const t = useT();
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('nav.keys')} description={t('keys2.lead')} />
      <Needs permission="manage">
        <Keys />
      </Needs>
    </SpaceBetween>
  );
}

function Keys() {
  const t = useT();
  const client = useQueryClient();
  const { project } = useWho();
  const { preferences } = usePreferences();
  const keys = useQuery(listKeys(project.id));
  const queues = useQuery(listQueues(project.id));
  const [open, setOpen] = useState<{ what: 'create' | 'rotate' | 'delete'; key?: AccessKey } | null>(null);
  const [secret, setSecret] = useState<AccessKeyWithSecret | null>(null);
  const names = new Map((queues.data?.queues ?? []).map((q) => [q.id, q.name]));
  const may = (k: AccessKey) => (k.queues.length > 0 ? k.queues.map((q) => `${names.get(q.queue_id) ?? q.queue_id}: ${q.permissions.map((p) => t(`perm.${p}`)).join(', ')}`).join('; ') : k.roles.join(', '));
  const renew = () => client.invalidateQueries({ queryKey: ['keys'] });
  const path = (k: AccessKey | undefined) => `/access-keys/${k?.id}`;
  return (
    <>
      {keys.error && <Failure error={keys.error} retry={() => void keys.refetch()} />}
      <Table
        items={keys.data?.access_keys ?? []}
        trackBy="id"
        loading={keys.isPending}
        loadingText={t('state.loading')}
        contentDensity={preferences.density}
        enableKeyboardNavigation
        wrapLines
        ariaLabels={{ tableLabel: t('nav.keys') }}
        header={<Header counter={keys.data ? `(${keys.data.total})` : ''} actions={<Button variant="primary" onClick={() => setOpen({ what: 'create' })}>{t('keys2.create')}</Button>}>{t('nav.keys')}</Header>}
        columnDefinitions={[
          { id: 'id', header: t('keys2.id'), isRowHeader: true, minWidth: 200, cell: (k) => <><span className="cell">{k.id}</span>{k.description && <Box color="text-body-secondary"><Visible text={k.description} /></Box>}</> },
          { id: 'may', header: t('keys2.may'), minWidth: 160, cell: may },
          { id: 'created', header: t('keys2.created'), minWidth: 170, cell: (k) => (k.deletable ? <><Time at={k.created_at} /> <Box color="text-body-secondary">{t('keys2.by', { name: k.created_by })}</Box></> : t('keys2.fixed')) },
          { id: 'used', header: t('keys2.used'), minWidth: 150, cell: (k) => <Time at={k.last_used_at} /> },
          { id: 'expires', header: t('keys2.expires'), minWidth: 150, cell: (k) => (k.expires_at ? <Time at={k.expires_at} /> : t('keys2.never')) },
          {
            id: 'actions', header: t('alarms.actions'), minWidth: 190,
            cell: (k) => k.deletable && (
              <SpaceBetween direction="horizontal" size="xs">
                <Button variant="inline-link" ariaLabel={`${t('keys2.rotate')} ${k.id}`} onClick={() => setOpen({ what: 'rotate', key: k })}>{t('keys2.rotate')}</Button>
                <Button variant="inline-link" ariaLabel={`${t('action.delete')} ${k.id}`} onClick={() => setOpen({ what: 'delete', key: k })}>{t('action.delete')}</Button>
              </SpaceBetween>
            ),
          },
        ]}
        empty={<Empty title={t('keys2.none')} text={t('keys2.nonetext')}><Button variant="primary" onClick={() => setOpen({ what: 'create' })}>{t('keys2.create')}</Button></Empty>}
      />
      {open?.what === 'create' && <CreateKey onClose={() => setOpen(null)} onCreated={setSecret} />}
      {open?.what === 'rotate' && (
        <Dialog
          title={`${t('keys2.rotate')} ${open.key?.id}`}
          act={t('keys2.rotate')}
          code={{ request: { method: 'POST', path: path(open.key) + '/rotate' } }}
          run={async () => {
            setSecret(await json<AccessKeyWithSecret>(project.id, { method: 'POST', path: path(open.key) + '/rotate' }));
            await renew();
          }}
          onClose={() => setOpen(null)}
        >
          {t('keys2.rotatetext')}
        </Dialog>
      )}
      {open?.what === 'delete' && (
        <Dialog
          title={t('keys2.delete')}
          act={t('action.delete')}
          word={open.key!.id}
          code={{ request: { method: 'DELETE', path: path(open.key) } }}
          run={async () => {
            await send(project.id, { method: 'DELETE', path: path(open.key) });
            await renew();
          }}
          onClose={() => setOpen(null)}
        >
          {t('keys2.deletetext')}
        </Dialog>
      )}
      {secret && (
        <Modal visible header={t('keys2.secret')} closeAriaLabel={t('action.close')} onDismiss={() => setSecret(null)} footer={<Box float="right"><Button variant="primary" onClick={() => setSecret(null)}>{t('keys2.secretcopied')}</Button></Box>}>
          <SpaceBetween size="m">
            <Alert type="warning">{t('keys2.secrettext')}</Alert>
            <FormField label={t('keys2.access')}><Copy variant="inline" text={secret.id} label={t('keys2.access')} /></FormField>
            <FormField label={t('keys2.secretlabel')}><Copy variant="inline" text={secret.secret} label={t('keys2.secretlabel')} /></FormField>
          </SpaceBetween>
        </Modal>
      )}
    </>
  );
}

const roles: Role[] = ['viewer', 'producer', 'consumer', 'manager'];
const permissions = ['observe', 'produce', 'consume', 'inspect', 'manage'] as const;

function CreateKey({ onClose, onCreated }: { onClose: () => void; onCreated: (k: AccessKeyWithSecret) => void }) {
  const t = useT();
  const project = useProject();
  const client = useQueryClient();
  const queues = useQuery(listQueues(project));
  const [description, setDescription] = useState('');
  const [scope, setScope] = useState('project');
  const [chosenRoles, setRoles] = useState<readonly string[]>(['producer']);
  const [chosenQueues, setQueues] = useState<readonly string[]>([]);
  const [chosen, setChosen] = useState<readonly string[]>(['produce']);
  const [days, setDays] = useState('90');
  const [now] = useState(Date.now);
  const n = Number(days);
  const body: NewAccessKey = {
    ...(description ? { description } : {}),
    ...(scope === 'project' ? { roles: chosenRoles as Role[] } : { queues: chosenQueues.map((queue_id) => ({ queue_id, permissions: chosen as (typeof permissions)[number][] })) }),
    ...(days ? { expires_at: new Date(now + n * 86_400_000).toISOString() } : {}),
  };
  const request = { method: 'POST', path: '/access-keys', body: JSON.stringify(body) } as const;
  const valid = (scope === 'project' ? chosenRoles.length > 0 : chosenQueues.length > 0 && chosenQueues.length <= 50 && chosen.length > 0 && chosen.length <= 4) && (days === '' || (n > 0 && n <= 3650)) && description.length <= 160;
  const option = (value: string, label: string) => ({ value, label });
  const queueOptions = (queues.data?.queues ?? []).map((q) => option(q.id, q.name));
  const permissionOptions = permissions.map((p) => option(p, t(`perm.${p}`)));
  const roleOptions = roles.map((r) => option(r, r));
  const pick = (options: { value: string; label: string }[], values: readonly string[]) => options.filter((o) => values.includes(o.value));
  const taken = (e: { detail: { selectedOptions: readonly { value?: string }[] } }) => e.detail.selectedOptions.map((o) => o.value ?? '');
  const run = async () => {
    onCreated(await json<AccessKeyWithSecret>(project, request));
    await client.invalidateQueries({ queryKey: ['keys'] });
  };
  return (
    <Dialog title={t('keys2.create')} act={t('action.create')} disabled={!valid} code={{ request }} run={run} onClose={onClose}>
      <FormField label={t('keys2.description')}><Input value={description} onChange={(e) => setDescription(e.detail.value)} /></FormField>
      <FormField label={t('keys2.scope')}>
        <RadioGroup value={scope} onChange={(e) => setScope(e.detail.value)} items={[{ value: 'project', label: t('keys2.everywhere') }, { value: 'queues', label: t('keys2.single') }]} />
      </FormField>
      {scope === 'project' ? (
        <FormField label={t('keys2.roles')}><Multiselect selectedOptions={pick(roleOptions, chosenRoles)} options={roleOptions} onChange={(e) => setRoles(taken(e))} /></FormField>
      ) : (
        <>
          <FormField label={t('keys2.queues')}><Multiselect filteringType="auto" selectedOptions={pick(queueOptions, chosenQueues)} options={queueOptions} onChange={(e) => setQueues(taken(e))} /></FormField>
          <FormField label={t('keys2.permissions')}><Multiselect selectedOptions={pick(permissionOptions, chosen)} options={permissionOptions} onChange={(e) => setChosen(taken(e))} /></FormField>
        </>
      )}
      <FormField label={t('keys2.days')} constraintText={t('keys2.dayshint')}><Input type="number" inputMode="numeric" value={days} onChange={(e) => setDays(e.detail.value)} /></FormField>
    </Dialog>
  );
}
