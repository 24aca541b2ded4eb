import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Checkbox from '@cloudscape-design/components/checkbox';
import Container from '@cloudscape-design/components/container';
import Form from '@cloudscape-design/components/form';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import Tiles from '@cloudscape-design/components/tiles';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { json } from '../api/http';
import { listQueues } from '../api/queries';
import type { NewQueue } from '../api/types';
import { useFlash } from '../app/flash';
import { PageHeader } from '../app/page';
import { useWho } from '../app/session';
import { sentence } from '../app/words';
import { useT } from '../i18n';
import { curl, go as goCode, python, terraform, type Request } from '../lib/code';
import { groupName, queueName, suggest } from '../lib/names';
import { Code } from '../parts/code';
import { Failure, Needs } from '../parts/states';

export default function CreateQueue() {
  return (
    <Needs permission="manage">
      <CreateForm />
    </Needs>
  );
}

function CreateForm() {
  const t = useT();
  const go = useNavigate();
  const flash = useFlash();
  const client = useQueryClient();
  const { project } = useWho();
  const queues = useQuery(listQueues(project.id));
  const [mode, setMode] = useState<'NORMAL' | 'FIFO'>('NORMAL');
  const [name, setName] = useState(() => suggest('queue'));
  const [description, setDescription] = useState('');
  const [keep, setKeep] = useState(true);
  const [max, setMax] = useState('3');
  const [group, setGroup] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

  const times = Number(max);
  const errors = {
    name: !queueName.test(name) ? t('create.namehint') : queues.data?.queues.some((q) => q.name === name) ? t('create.nametaken') : '',
    description: description.length > 160 || /[<>]/.test(description) ? t('create.deschint') : '',
    max: keep && !(Number.isInteger(times) && times >= 1 && times <= 100) ? t('create.maxhint') : '',
    group: group !== '' && !groupName.test(group) ? t('create.groupname') : '',
  };
  const valid = Object.values(errors).every((e) => e === '');
  const wanted: NewQueue = {
    name,
    queue_mode: mode,
    ...(description ? { description } : {}),
    ...(keep ? { redrive_policy: 'enable' as const, max_consume_count: times || 1 } : { redrive_policy: 'disable' as const }),
  };
  const request: Request = { method: 'POST', path: '/queues', body: JSON.stringify(wanted) };

  const create = async () => {
    if (!valid || busy) return;
    setBusy(true);
    setError(null);
    try {
      const made = await json<{ id: string; name: string }>(project.id, request);
      let problem: unknown = null;
      if (group) {
        await json(project.id, { method: 'POST', path: `/queues/${made.id}/groups`, body: JSON.stringify({ groups: [{ name: group }] }) }).catch((err: unknown) => (problem = err));
      }
      await client.invalidateQueries({ queryKey: ['queues'] });
      flash(problem ? { type: 'warning', content: t('create.nogroup', { name, error: sentence(t, problem) }) } : { type: 'success', content: t('create.done', { name }) });
      void go(`/queues/${made.id}`);
    } catch (err) {
      setError(err);
      setBusy(false);
    }
  };
  const plan = { ...wanted, queue_mode: mode, description, groups: group ? [group] : [] };
  const previews = [
    { id: 'json', label: 'JSON', text: JSON.stringify(wanted, null, 2) },
    { id: 'curl', label: 'curl', text: curl(request) },
    { id: 'terraform', label: 'Terraform', text: terraform(plan) },
    { id: 'go', label: 'Go', text: goCode(request) },
    { id: 'python', label: 'Python', text: python(request) },
  ];
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('create.title')} above={[{ text: t('nav.queues'), path: '/queues' }]} />
      <div className="wide-left">
        <form onSubmit={(e) => (e.preventDefault(), void create())}>
          <Form
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button variant="link" formAction="none" onClick={() => void go('/queues')}>{t('action.cancel')}</Button>
                <Button variant="primary" loading={busy} disabled={!valid}>{t('queues.create')}</Button>
              </SpaceBetween>
            }
          >
            <SpaceBetween size="l">
              <Container header={<Header variant="h2">{t('settings.general')}</Header>}>
                <SpaceBetween size="l">
                  <FormField label={t('create.type')} stretch>
                    <Tiles
                      value={mode}
                      ariaLabel={t('create.type')}
                      columns={2}
                      onChange={(e) => setMode(e.detail.value as 'NORMAL' | 'FIFO')}
                      items={[
                        { value: 'NORMAL', label: t('mode.NORMAL'), description: t('create.normal') },
                        { value: 'FIFO', label: t('mode.FIFO'), description: t('create.fifo') },
                      ]}
                    />
                  </FormField>
                  <FormField label={t('create.name')} constraintText={t('create.namehint')} errorText={errors.name}>
                    <Input value={name} onChange={(e) => setName(e.detail.value)} autoComplete={false} spellcheck={false} ariaRequired />
                  </FormField>
                  <FormField label={<>{t('create.description')} <i>– {t('create.optional')}</i></>} constraintText={t('create.deschint')} errorText={errors.description}>
                    <Input value={description} onChange={(e) => setDescription(e.detail.value)} />
                  </FormField>
                </SpaceBetween>
              </Container>
              <Container header={<Header variant="h2" description={t('create.deadhint')}>{t('create.dead')}</Header>}>
                <SpaceBetween size="m">
                  <Checkbox checked={keep} onChange={(e) => setKeep(e.detail.checked)}>{t('create.keep')}</Checkbox>
                  {keep && (
                    <FormField label={t('create.max')} constraintText={t('create.maxhint')} errorText={errors.max}>
                      <Input type="number" inputMode="numeric" value={max} onChange={(e) => setMax(e.detail.value)} />
                    </FormField>
                  )}
                </SpaceBetween>
              </Container>
              <Container header={<Header variant="h2" description={t('create.grouphint')}>{t('create.group')}</Header>}>
                <FormField label={<>{t('groups.name')} <i>– {t('create.optional')}</i></>} constraintText={t('create.groupname')} errorText={errors.group}>
                  <Input value={group} onChange={(e) => setGroup(e.detail.value)} autoComplete={false} spellcheck={false} placeholder="billing" />
                </FormField>
              </Container>
              <Box color="text-body-secondary">{t('create.retention')}</Box>
              {error !== null && <Failure error={error} />}
            </SpaceBetween>
          </Form>
        </form>
        <Container header={<Header variant="h2">{t('create.preview')}</Header>}>
          <Tabs tabs={previews.map((p) => ({ id: p.id, label: p.label, content: <Code text={p.text} what={p.label} /> }))} />
        </Container>
      </div>
    </SpaceBetween>
  );
}
