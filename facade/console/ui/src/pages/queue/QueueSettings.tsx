import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Checkbox from '@cloudscape-design/components/checkbox';
import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import RadioGroup from '@cloudscape-design/components/radio-group';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { json } from '../../api/http';
import type { Purged, Queue, QueueChange } from '../../api/types';
import { useFlash } from '../../app/flash';
import { useProject, useWho } from '../../app/session';
import { useT } from '../../i18n';
import { terraform } from '../../lib/code';
import { AsCode } from '../../parts/code';
import { Dialog } from '../../parts/dialog';
import { Failure } from '../../parts/states';
import { DeleteQueues } from '../DeleteQueues';
import { Tags } from './Tags';
import type { TabProps } from './Queue';

export default function QueueSettings({ queue }: TabProps) {
  const t = useT();
  const go = useNavigate();
  const { can } = useWho();
  const [purging, setPurging] = useState(false);
  const [deleting, setDeleting] = useState(false);
  return (
    <SpaceBetween size="l">
      <General key={queue.id} queue={queue} />
      <Tags queue={queue.id} />
      <Container header={<Header variant="h2" description={t('settings.purgetext')} actions={<Button disabled={!can('manage')} onClick={() => setPurging(true)}>{t('settings.purge')}…</Button>}>{t('settings.purge')}</Header>} />
      <div className="danger">
        <Container header={<Header variant="h2" description={t('settings.deletetext')} actions={<Button disabled={!can('manage')} onClick={() => setDeleting(true)}>{t('action.delete')}…</Button>}>{t('settings.delete')}</Header>} />
      </div>
      {purging && <Purge queue={queue} onClose={() => setPurging(false)} />}
      {deleting && <DeleteQueues rows={[{ queue, figures: null, health: 'ok' }]} onClose={() => setDeleting(false)} onDeleted={() => void go('/queues')} />}
    </SpaceBetween>
  );
}

function General({ queue }: TabProps) {
  const t = useT();
  const { can, project } = useWho();
  const client = useQueryClient();
  const flash = useFlash();
  const [description, setDescription] = useState(queue.description ?? '');
  const [hours, setHours] = useState(String(queue.reservation / 60));
  const [keep, setKeep] = useState(queue.redrive_policy === 'enable');
  const [max, setMax] = useState(String(queue.max_consume_count ?? 3));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const h = Number(hours);
  const m = Number(max);
  const errors = {
    description: description.length > 160 || /[<>]/.test(description) ? t('create.deschint') : '',
    hours: Number.isInteger(h) && h >= 1 && h <= 336 ? '' : t('settings.retentionhint'),
    max: !keep || (Number.isInteger(m) && m >= 1 && m <= 100) ? '' : t('create.maxhint'),
  };
  const change: QueueChange = {
    ...(description !== (queue.description ?? '') ? { description } : {}),
    ...(h * 60 !== queue.reservation ? { retention_hours: h } : {}),
    ...(keep !== (queue.redrive_policy === 'enable') ? { redrive_policy: keep ? ('enable' as const) : ('disable' as const) } : {}),
    ...(keep && m !== queue.max_consume_count ? { max_consume_count: m } : {}),
  };
  const same = Object.keys(change).length === 0;
  const request = { method: 'PATCH', path: `/queues/${queue.id}`, body: JSON.stringify(change) } as const;
  const ready = !same && Object.values(errors).every((e) => e === '');
  const save = async () => {
    if (!ready) return;
    setBusy(true);
    setError(null);
    try {
      await json<Queue>(project.id, request);
      await client.invalidateQueries({ queryKey: ['queue'] });
      void client.invalidateQueries({ queryKey: ['queues'] });
      flash({ type: 'success', content: t('settings.saved') });
    } catch (err) {
      setError(err);
    }
    setBusy(false);
  };
  const hcl = terraform({ name: queue.name, queue_mode: queue.queue_mode, description, redrive_policy: keep ? 'enable' : 'disable', max_consume_count: m, groups: [] });
  return (
    <form onSubmit={(e) => (e.preventDefault(), void save())}>
      <Container
        header={<Header variant="h2" actions={<AsCode request={request} terraform={hcl} />}>{t('settings.general')}</Header>}
        footer={<Button variant="primary" loading={busy} disabled={!ready || !can('manage')}>{t('action.save')}</Button>}
      >
        <SpaceBetween size="m">
          <FormField label={t('create.description')} errorText={errors.description} constraintText={t('create.deschint')}>
            <Input value={description} disabled={!can('manage')} onChange={(e) => setDescription(e.detail.value)} />
          </FormField>
          <FormField label={t('settings.retention')} errorText={errors.hours} constraintText={t('settings.retentionhint')}>
            <Input type="number" inputMode="numeric" value={hours} disabled={!can('manage')} onChange={(e) => setHours(e.detail.value)} />
          </FormField>
          <FormField label={t('create.dead')}>
            <Checkbox checked={keep} disabled={!can('manage')} onChange={(e) => setKeep(e.detail.checked)}>{t('create.keep')}</Checkbox>
          </FormField>
          {keep && (
            <FormField label={t('create.max')} errorText={errors.max} constraintText={t('create.maxhint')}>
              <Input type="number" inputMode="numeric" value={max} disabled={!can('manage')} onChange={(e) => setMax(e.detail.value)} />
            </FormField>
          )}
          {error !== null && <Failure error={error} retry={() => void save()} />}
        </SpaceBetween>
      </Container>
    </form>
  );
}

function Purge({ queue, onClose }: TabProps & { onClose: () => void }) {
  const t = useT();
  const project = useProject();
  const client = useQueryClient();
  const flash = useFlash();
  const [source, setSource] = useState('queue');
  const path = `/queues/${queue.id}/purge`;
  const request = { method: 'POST', path, body: JSON.stringify({ source }) } as const;
  const dry = useQuery({
    queryKey: ['dry', project, path, source],
    queryFn: ({ signal }) => json<Purged>(project, { method: 'POST', path, body: JSON.stringify({ source, dry_run: true }) }, { signal }),
  });
  const run = async () => {
    const done = await json<Purged>(project, request);
    flash({ type: 'success', content: t('settings.purged', { n: done.messages }) });
    await client.invalidateQueries();
  };
  return (
    <Dialog title={`${t('settings.purge')} – ${queue.name}`} act={t('settings.purge')} word={queue.name} code={{ request }} disabled={!dry.data || dry.data.messages === 0} run={run} onClose={onClose}>
      <FormField label={t('settings.purgewhat')}>
        <RadioGroup
          value={source}
          onChange={(e) => setSource(e.detail.value)}
          items={[
            { value: 'queue', label: t('settings.purgequeue') },
            { value: 'dead_letters', label: t('settings.purgedead') },
            { value: 'delayed', label: t('settings.purgedelayed') },
          ]}
        />
      </FormField>
      <div aria-live="polite">
        {dry.error ? <Failure error={dry.error} retry={() => void dry.refetch()} /> : <Alert type={dry.data?.messages ? 'warning' : 'info'}>{dry.data ? t('settings.purgecount', { n: dry.data.messages }) : t('redrive.counting')}</Alert>}
      </div>
    </Dialog>
  );
}
