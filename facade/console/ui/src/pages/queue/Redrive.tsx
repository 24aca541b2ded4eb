import Alert from '@cloudscape-design/components/alert';
import Checkbox from '@cloudscape-design/components/checkbox';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import RadioGroup from '@cloudscape-design/components/radio-group';
import Select from '@cloudscape-design/components/select';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { json } from '../../api/http';
import { listQueues } from '../../api/queries';
import type { Job, Queue, Redrive } from '../../api/types';
import { useFlash } from '../../app/flash';
import { useProject } from '../../app/session';
import { useT } from '../../i18n';
import { Dialog } from '../../parts/dialog';
import { Failure } from '../../parts/states';

interface Props {
  queue: Queue;
  group: string;
  name: string;
  sequences: number[];
  onClose: () => void;
}

const targets = ['group', 'queue', 'other'] as const;

/** RedriveDialog says first how many it is about. */
export function RedriveDialog({ queue, group, name, sequences, onClose }: Props) {
  const t = useT();
  const project = useProject();
  const client = useQueryClient();
  const flash = useFlash();
  const queues = useQuery(listQueues(project));
  const [which, setWhich] = useState(sequences.length > 0 ? 'selected' : 'all');
  const [target, setTarget] = useState<(typeof targets)[number]>('group');
  const [other, setOther] = useState('');
  const [rate, setRate] = useState('0');
  const [stop, setStop] = useState(false);
  const body: Redrive = {
    group_id: group,
    target,
    ...(target === 'other' ? { queue_id: other } : {}),
    ...(which === 'selected' ? { sequences } : {}),
    ...(Number(rate) > 0 ? { rate: Number(rate) } : {}),
    ...(stop ? { stop_on_failure: true } : {}),
  };
  const ready = target !== 'other' || other !== '';
  const path = `/queues/${queue.id}/redrive`;
  const request = { method: 'POST', path, body: JSON.stringify(body) } as const;
  const dry = useQuery({
    queryKey: ['dry', project, path, body],
    queryFn: ({ signal }) => json<Job>(project, { method: 'POST', path, body: JSON.stringify({ ...body, dry_run: true }) }, { signal }),
    enabled: ready,
  });
  const run = async () => {
    await json<Job>(project, request);
    flash({ type: 'success', content: t('redrive.started') });
    await client.invalidateQueries({ queryKey: ['jobs'] });
    void client.invalidateQueries({ queryKey: ['groups'] });
  };
  const options = (queues.data?.queues ?? []).filter((q) => q.id !== queue.id).map((q) => ({ value: q.id, label: q.name }));
  return (
    <Dialog title={`${t('redrive.title')} – ${name}`} act={t('redrive.start')} disabled={!ready || !dry.data || dry.data.moved === 0} code={{ request }} run={run} onClose={onClose}>
      {sequences.length > 0 && (
        <FormField label={t('redrive.which')}>
          <RadioGroup value={which} onChange={(e) => setWhich(e.detail.value)} items={[{ value: 'selected', label: t('redrive.selected', { n: sequences.length }) }, { value: 'all', label: t('redrive.all') }]} />
        </FormField>
      )}
      <FormField label={t('redrive.where')}>
        <RadioGroup value={target} onChange={(e) => setTarget(e.detail.value as typeof target)} items={targets.map((x) => ({ value: x, label: t(`redrive.${x}`), description: t(`redrive.${x}hint`) }))} />
      </FormField>
      {target === 'other' && (
        <FormField label={t('redrive.target')}>
          <Select selectedOption={options.find((o) => o.value === other) ?? null} options={options} filteringType="auto" onChange={(e) => setOther(e.detail.selectedOption.value ?? '')} />
        </FormField>
      )}
      <FormField label={t('redrive.rate')} constraintText={t('redrive.ratehint')}>
        <Input type="number" inputMode="numeric" value={rate} onChange={(e) => setRate(e.detail.value)} />
      </FormField>
      <Checkbox checked={stop} onChange={(e) => setStop(e.detail.checked)}>{t('redrive.stop')}</Checkbox>
      <div aria-live="polite">
        {dry.error ? <Failure error={dry.error} retry={() => void dry.refetch()} /> : ready && <Alert type="info">{dry.data ? t('redrive.wouldbe', { n: dry.data.moved }) : t('redrive.counting')}</Alert>}
      </div>
    </Dialog>
  );
}
