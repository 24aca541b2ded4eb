import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { json, send } from '../api/http';
import { ackRequest, consume, consumeRequest, outgoing, store } from '../api/messages';
import { useProject } from '../app/session';
import { useT } from '../i18n';
import { curl, type Request } from '../lib/code';
import { suggest } from '../lib/names';
import { Code } from '../parts/code';
import { Failure } from '../parts/states';
import { To } from '../parts/text';

const steps = ['create', 'send', 'receive'] as const;

/** Guide takes a first message through its whole life, with real requests. */
export default function Guide({ onBegin, onClose }: { onBegin: () => void; onClose: () => void }) {
  const t = useT();
  const project = useProject();
  const client = useQueryClient();
  const [name] = useState(() => suggest('first'));
  const [queue, setQueue] = useState('');
  const [group, setGroup] = useState('');
  const [done, setDone] = useState(0);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [nothing, setNothing] = useState(false);
  const [body, setBody] = useState('');

  const requests: Request[] = [
    { method: 'POST', path: '/queues', body: JSON.stringify({ name }) },
    outgoing(queue || 'QUEUE_ID', [{ body: '{"hello": "world"}', tags: [] }]),
    consumeRequest(queue || 'QUEUE_ID', { group: group || 'GROUP_ID', dead: false, most: 1, wait: 3, ackWait: 30 }),
  ];
  const acts = [
    async () => {
      let id = queue;
      if (!id) {
        onBegin();
        id = (await json<{ id: string }>(project, requests[0]!)).id;
        setQueue(id);
      }
      const made = await json<{ groups: { id: string }[] }>(project, { method: 'POST', path: `/queues/${id}/groups`, body: '{"groups": [{"name": "readers"}]}' });
      setGroup(made.groups[0]!.id);
      return true;
    },
    async () => {
      await store(project, requests[1]!, crypto.randomUUID());
      return true;
    },
    async () => {
      const [taken] = await consume(project, queue, { group, dead: false, most: 1, wait: 3, ackWait: 30 });
      if (!taken) {
        setNothing(true);
        return false;
      }
      await send(project, ackRequest(queue, group, false, [taken.handler], 'success'));
      setBody(taken.body);
      return true;
    },
  ];
  const run = async (step: number) => {
    setBusy(true);
    setError(null);
    setNothing(false);
    try {
      if (await acts[step]!()) setDone(step + 1);
      void client.invalidateQueries({ queryKey: ['queues'] });
    } catch (err) {
      setError(err);
    }
    setBusy(false);
  };
  return (
    <Container header={<Header variant="h2" description={t('guide.lead')} actions={<Button variant="icon" iconName="close" ariaLabel={t('action.close')} onClick={onClose} />}>{t('guide.title')}</Header>}>
      <ol className="guide">
        {steps.map((s, i) => (
          <li key={s} aria-current={i === done ? 'step' : undefined}>
            <div className="guide-head">
              <strong>{t(`guide.${s}`)}</strong>
              {i < done ? <StatusIndicator type="success">{t('guide.done')}</StatusIndicator> : (
                <Button variant={i === done ? 'primary' : 'normal'} disabled={i !== done} loading={busy && i === done} onClick={() => void run(i)}>{t(`guide.${s}button`)}</Button>
              )}
            </div>
            {i === done && <Code text={curl(requests[i]!)} what="curl" />}
            {i === done && error !== null && <Failure error={error} />}
            {i === done && nothing && <Alert type="info">{t('guide.nothing')}</Alert>}
          </li>
        ))}
      </ol>
      <div aria-live="polite">
        {done === steps.length && (
          <SpaceBetween size="s">
            <Code text={body} what={t('peek.body')} />
            <span>{t('guide.finish')} <To path={`/queues/${queue}`}>{name}</To></span>
          </SpaceBetween>
        )}
      </div>
    </Container>
  );
}
