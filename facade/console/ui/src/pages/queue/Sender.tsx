import Alert from '@cloudscape-design/components/alert';
import AttributeEditor from '@cloudscape-design/components/attribute-editor';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Textarea from '@cloudscape-design/components/textarea';
import { useQueryClient } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { outgoing, store } from '../../api/messages';
import { useProject } from '../../app/session';
import { useFormat } from '../../app/words';
import { useT } from '../../i18n';
import { kindAt, members, pretty, problem, skipSpace } from '../../lib/rawjson';
import { AsCode } from '../../parts/code';
import { Failure } from '../../parts/states';
import type { TabProps } from './Queue';

export interface Draft {
  body?: string;
  attributes?: string;
  labels?: string[];
}

interface Pair {
  name: string;
  value: string;
}

const label = /^[A-Za-z0-9_-]{1,64}$/;
const largest = 524_288;

// Attributes of a message that is sent again keep their JSON; what is typed is a text.
function pairs(json: string | undefined): Pair[] {
  return json ? members(json).map((m) => ({ name: m.key, value: kindAt(json, m.start) === 'string' ? (JSON.parse(json.slice(m.start, m.end)) as string) : json.slice(m.start, m.end) })) : [];
}

function attributes(list: Pair[], original: string | undefined): string {
  const before = new Map(original ? members(original).map((m) => [m.key, original.slice(m.start, m.end)]) : []);
  const value = (p: Pair) => {
    const was = before.get(p.name);
    return was !== undefined && was === p.value ? was : JSON.stringify(p.value);
  };
  return `{${list.filter((p) => p.name !== '').map((p) => `${JSON.stringify(p.name)}: ${value(p)}`).join(', ')}}`;
}

export function Sender({ queue, draft }: TabProps & { draft: Draft | null }) {
  const t = useT();
  const f = useFormat();
  const project = useProject();
  const client = useQueryClient();
  const file = useRef<HTMLInputElement>(null);
  const [body, setBody] = useState(draft?.body ?? '{"order_id": 4711, "total": 19.90}');
  const [list, setList] = useState<Pair[]>(() => pairs(draft?.attributes));
  const [labels, setLabels] = useState((draft?.labels ?? []).join(', '));
  const [delay, setDelay] = useState('0');
  const [repeat, setRepeat] = useState('1');
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<{ stored: number; failed: number; text: string; ms: number } | null>(null);
  const [error, setError] = useState<unknown>(null);
  // The key is kept until it is known what became of the request.
  const key = useRef<{ of: string; key: string } | null>(null);

  const wrong = problem(body) ?? (body.trim() === 'null' ? 'null' : undefined);
  const size = new TextEncoder().encode(body).length;
  const names = labels.split(',').map((l) => l.trim()).filter(Boolean);
  const badLabels = names.length > 3 || names.some((n) => !label.test(n)) ? t('send.badlabels') : '';
  const count = Number(repeat);
  const seconds = Number(delay);
  const ready = !wrong && !badLabels && size <= largest && Number.isInteger(count) && count >= 1 && count <= 10 && seconds >= 0 && seconds <= 604_800;
  const one = { body, tags: names, delay: seconds, ...(list.some((p) => p.name) ? { attributes: attributes(list, draft?.attributes) } : {}) };
  const request = outgoing(queue.id, Array.from({ length: ready ? count : 1 }, () => one));

  const send = async () => {
    if (!ready || busy) return;
    setBusy(true);
    setError(null);
    setResult(null);
    const start = performance.now();
    if (key.current?.of !== request.body) key.current = { of: request.body!, key: crypto.randomUUID() };
    try {
      const answer = await store(project, request, key.current!.key);
      key.current = null;
      const failed = answer.messages.filter((m) => m.state !== 0);
      setResult({ stored: answer.messages.length - failed.length, failed: failed.length, text: failed[0]?.error ?? '', ms: Math.round(performance.now() - start) });
      void client.invalidateQueries({ queryKey: ['queue', project, queue.id] });
    } catch (err) {
      setError(err);
    }
    setBusy(false);
  };
  const number = (text: string, value: string, set: (v: string) => void) => (
    <FormField label={text}>
      <Input type="number" inputMode="numeric" value={value} onChange={(e) => set(e.detail.value)} />
    </FormField>
  );
  return (
    <Container header={<Header variant="h2" actions={<AsCode request={request} />} description={queue.queue_mode === 'FIFO' ? t('send.fifo') : ''}>{t('send.title')}</Header>}>
      <form onSubmit={(e) => (e.preventDefault(), void send())}>
        <SpaceBetween size="m">
          <FormField
            label={t('send.body')}
            stretch
            description={t('send.bodyhint')}
            errorText={size > largest ? t('error.10540011') : wrong && body.trim() !== '' ? t('send.bad', { text: wrong }) : ''}
            constraintText={!wrong ? t('send.good', { size: f.bytes(size) }) : ''}
          >
            <Textarea value={body} rows={8} spellcheck={false} disableBrowserAutocorrect onChange={(e) => setBody(e.detail.value)} />
          </FormField>
          <SpaceBetween direction="horizontal" size="xs">
            <Button formAction="none" disabled={!!wrong} onClick={() => setBody(pretty(body))}>{t('send.pretty')}</Button>
            <Button formAction="none" iconName="upload" onClick={() => file.current?.click()}>{t('send.file')}</Button>
            {wrong && body.trim() !== '' && <Button formAction="none" onClick={() => setBody(JSON.stringify(body))}>{t('send.asText')}</Button>}
          </SpaceBetween>
          <input ref={file} type="file" hidden aria-label={t('send.file')} onChange={(e) => void e.target.files?.[0]?.text().then((text) => setBody(text.slice(skipSpace(text, 0))))} />
          <FormField label={t('send.labels')} constraintText={t('send.labelshint')} errorText={badLabels} stretch>
            <Input value={labels} spellcheck={false} autoComplete={false} onChange={(e) => setLabels(e.detail.value)} />
          </FormField>
          <div className="pair">
            {number(t('send.repeat'), repeat, setRepeat)}
            {number(t('send.delay'), delay, setDelay)}
          </div>
          <div>
            <Box variant="awsui-key-label">{t('send.attributes')}</Box>
            <AttributeEditor
              items={list}
              addButtonText={t('send.addattr')}
              removeButtonText={t('action.remove')}
              empty={t('send.noattrs')}
              onAddButtonClick={() => setList([...list, { name: '', value: '' }])}
              onRemoveButtonClick={(e) => setList(list.filter((_, i) => i !== e.detail.itemIndex))}
              definition={(['name', 'value'] as const).map((member) => ({
                label: t(`send.attr${member}`),
                control: (item: Pair, at: number) => <Input value={item[member]} onChange={(e) => setList(list.map((p, i) => (i === at ? { ...p, [member]: e.detail.value } : p)))} />,
              }))}
            />
          </div>
          <Button variant="primary" iconName="send" loading={busy} disabled={!ready}>{t('send.send')}</Button>
          <div aria-live="polite">
            {result && result.stored > 0 && <Alert type="success">{t('send.sent', { n: result.stored, ms: result.ms })}</Alert>}
            {result && result.failed > 0 && <Alert type="error">{t('send.failed', { n: result.failed, text: result.text })}</Alert>}
            {error !== null && <Failure error={error} retry={() => void send()} />}
          </div>
        </SpaceBetween>
      </form>
    </Container>
  );
}
