import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { history } from '../api/messages';
import type { Message } from '../api/types';
import { useProject } from '../app/session';
import { useT } from '../i18n';
import { diff, type Difference as Part } from '../lib/diff';
import { pretty } from '../lib/rawjson';
import { Failure, Skeleton } from './states';
import { Visible } from './text';

const signs = { same: ' ', gone: '−', new: '+' };

/** Difference compares the body of a message with that of another of its queue. */
export function Difference({ queue, message }: { queue: string; message: Message }) {
  const t = useT();
  const project = useProject();
  const [text, setText] = useState(String(Math.max(1, message.sequence - 1)));
  const other = Number(text);
  const valid = Number.isInteger(other) && other >= 1;
  const found = useQuery({ queryKey: ['message', project, queue, other], queryFn: ({ signal }) => history(project, queue, other, { signal }), enabled: valid, retry: false });
  const parts = useMemo(() => (found.data ? diff(pretty(found.data.message.body), pretty(message.body)) : []), [found.data, message.body]);
  return (
    <SpaceBetween size="s">
      <FormField label={t('viewer.compare')}>
        <Input type="number" inputMode="numeric" value={text} onChange={(e) => setText(e.detail.value)} />
      </FormField>
      {found.error ? <Failure error={found.error} /> : !found.data ? valid && <Skeleton /> : parts.every((p) => p.kind === 'same') ? t('viewer.same') : (
        <pre className="body diff" tabIndex={0} role="region" aria-label={t('viewer.diff')}>
          {parts.map((p, i) => <Row key={i} part={p} gone={t('viewer.only', { n: other })} added={t('viewer.only', { n: message.sequence })} />)}
        </pre>
      )}
    </SpaceBetween>
  );
}

function Row({ part, gone, added }: { part: Part; gone: string; added: string }) {
  const text = <>{signs[part.kind]} <Visible text={part.text} />{'\n'}</>;
  if (part.kind === 'gone') return <del title={gone}>{text}</del>;
  if (part.kind === 'new') return <ins title={added}>{text}</ins>;
  return <span>{text}</span>;
}
