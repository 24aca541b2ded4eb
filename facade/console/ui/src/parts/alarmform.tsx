import Checkbox from '@cloudscape-design/components/checkbox';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { json } from '../api/http';
import { listQueues } from '../api/queries';
import type { Alarm, NewAlarm, Queue } from '../api/types';
import { useFlash } from '../app/flash';
import { useProject } from '../app/session';
import { useT } from '../i18n';
import { metricName } from './alarms';
import { Dialog } from './dialog';

const metrics = ['available_messages', 'oldest_message_age', 'dead_avail_messages', 'in_flight_messages', 'time_to_drain', 'growing_without_consumer', 'queued_messages', 'stored_bytes'];
const comparisons = ['>', '>=', '<', '<='] as const;
const severities = ['critical', 'major', 'minor', 'info'] as const;

interface Props {
  alarm: Alarm | null;
  draft: NewAlarm | null;
  queue: Queue | undefined;
  onClose: () => void;
}

export function AlarmForm({ alarm, draft, queue, onClose }: Props) {
  const t = useT();
  const project = useProject();
  const client = useQueryClient();
  const flash = useFlash();
  const queues = useQuery(listQueues(project));
  const from = alarm ?? draft;
  const [name, setName] = useState(from?.name ?? '');
  const [metric, setMetric] = useState(from?.metric ?? 'available_messages');
  const [comparison, setComparison] = useState<NewAlarm['comparison']>((from?.comparison as NewAlarm['comparison'] | undefined) ?? '>');
  const [threshold, setThreshold] = useState(String(from?.threshold ?? 1000));
  const [seconds, setSeconds] = useState(String(from?.for_seconds ?? 60));
  const [severity, setSeverity] = useState<(typeof severities)[number]>(from?.severity ?? 'major');
  const [where, setWhere] = useState(alarm?.queue_id ?? queue?.id ?? '');
  const [enabled, setEnabled] = useState(alarm?.enabled ?? true);
  const [url, setURL] = useState(alarm?.webhooks[0]?.url ?? '');
  const [secret, setSecret] = useState('');

  const others = alarm?.webhooks.slice(1) ?? [];
  const body: NewAlarm = {
    name,
    metric,
    comparison,
    threshold: Number(threshold),
    for_seconds: Number(seconds),
    severity,
    enabled,
    ...(alarm?.description ? { description: alarm.description } : {}),
    ...(alarm?.resolve_threshold != null ? { resolve_threshold: alarm.resolve_threshold } : {}),
    ...(alarm?.resolve_for_seconds ? { resolve_for_seconds: alarm.resolve_for_seconds } : {}),
    ...(where ? { queue_id: where } : {}),
    ...(alarm?.group_id && alarm.queue_id === where ? { group_id: alarm.group_id } : {}),
    ...(url || others.length > 0 ? { webhooks: [...(url ? [{ url, ...(secret ? { secret } : {}) }] : []), ...others] } : {}),
  };
  const request = { method: alarm ? 'PUT' : 'POST', path: alarm ? `/alarms/${alarm.id}` : '/alarms', body: JSON.stringify(body) } as const;
  const shown = { ...request, body: JSON.stringify(secret ? { ...body, webhooks: [{ url, secret: 'WEBHOOK_SECRET' }, ...others] } : body) };
  const number = (text: string) => text.trim() !== '' && Number.isFinite(Number(text));
  const valid = name.length > 0 && name.length <= 64 && number(threshold) && number(seconds) && Number(seconds) >= 0 && Number(seconds) <= 86_400 && (secret === '' || (secret.length >= 16 && url !== ''));
  const run = async () => {
    await json(project, request);
    await client.invalidateQueries({ queryKey: ['alarms'] });
    flash({ type: 'success', content: t('alarms.saved') });
  };
  const places = [{ value: '', label: t('alarms.all') }, ...(queues.data?.queues ?? []).map((q) => ({ value: q.id, label: q.name }))];
  return (
    <Dialog title={t(alarm ? 'alarms.edit' : 'alarms.create')} act={t(alarm ? 'action.save' : 'action.create')} size="large" disabled={!valid} code={{ request: shown }} run={run} onClose={onClose}>
      <FormField label={t('alarms.name')}><Input value={name} onChange={(e) => setName(e.detail.value)} /></FormField>
      <div className="pair">
        <FormField label={t('alarms.metric')}>
          <Select selectedOption={{ value: metric, label: metricName(t, metric) }} options={metrics.map((m) => ({ value: m, label: metricName(t, m) }))} onChange={(e) => setMetric(e.detail.selectedOption.value!)} />
        </FormField>
        <FormField label={t('alarms.comparison')}>
          <Select selectedOption={{ value: comparison, label: comparison }} options={comparisons.map((c) => ({ value: c, label: c }))} onChange={(e) => setComparison(e.detail.selectedOption.value as NewAlarm['comparison'])} />
        </FormField>
        <FormField label={t('alarms.threshold')}><Input type="number" value={threshold} onChange={(e) => setThreshold(e.detail.value)} /></FormField>
        <FormField label={t('alarms.seconds')}><Input type="number" value={seconds} onChange={(e) => setSeconds(e.detail.value)} /></FormField>
      </div>
      <div className="pair">
        <FormField label={t('alarms.queue')}>
          <Select selectedOption={places.find((p) => p.value === where) ?? null} options={places} filteringType="auto" onChange={(e) => setWhere(e.detail.selectedOption.value ?? '')} />
        </FormField>
        <FormField label={t('alarms.severity')}>
          <Select selectedOption={{ value: severity, label: t(`severity.${severity}`) }} options={severities.map((s) => ({ value: s, label: t(`severity.${s}`) }))} onChange={(e) => setSeverity(e.detail.selectedOption.value as typeof severity)} />
        </FormField>
      </div>
      <FormField label={<>{t('alarms.webhook')} <i>– {t('create.optional')}</i></>} constraintText={t('alarms.webhookhint')}>
        <Input type="url" value={url} placeholder="https://hooks.example.org/dms" onChange={(e) => setURL(e.detail.value)} />
      </FormField>
      {url !== '' && (
        <FormField label={<>{t('alarms.secret')} <i>– {t('create.optional')}</i></>} constraintText={t('alarms.secrethint')}>
          <Input type="password" autoComplete={false} value={secret} onChange={(e) => setSecret(e.detail.value)} />
        </FormField>
      )}
      <Checkbox checked={enabled} onChange={(e) => setEnabled(e.detail.checked)}>{t('alarms.enabled')}</Checkbox>
    </Dialog>
  );
}
