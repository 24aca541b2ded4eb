import Box from '@cloudscape-design/components/box';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { ApiError, json } from '../api/http';
import type { DeletedQueues } from '../api/types';
import { useFlash } from '../app/flash';
import { useProject } from '../app/session';
import { sentence, useFormat } from '../app/words';
import { useT } from '../i18n';
import { Dialog } from '../parts/dialog';
import type { Row } from './queues';

const atOnce = 100;

/** DeleteQueues deletes one queue or many, and says of each what became of it. */
export function DeleteQueues({ rows, onClose, onDeleted }: { rows: Row[]; onClose: () => void; onDeleted?: () => void }) {
  const t = useT();
  const f = useFormat();
  const flash = useFlash();
  const client = useQueryClient();
  const project = useProject();
  const [results, setResults] = useState<Map<string, ApiError | null>>(new Map());
  const left = rows.filter((r) => results.get(r.queue.id) !== null);
  const word = rows.length === 1 ? rows[0]!.queue.name : f.count(rows.length);

  const run = async () => {
    const found = new Map(results);
    for (let i = 0; i < left.length; i += atOnce) {
      const part = left.slice(i, i + atOnce);
      const answer = await json<DeletedQueues>(project, { method: 'POST', path: '/queues/delete', body: JSON.stringify({ queues: part.map((r) => r.queue.id) }) });
      for (const q of answer.queues) found.set(q.id, q.deleted ? null : new ApiError(400, q.error_code ?? '', q.error_msg ?? '', ''));
      setResults(new Map(found));
    }
    await client.invalidateQueries({ queryKey: ['queues'] });
    const done = rows.filter((r) => found.get(r.queue.id) === null).length;
    if (done < rows.length) throw new Error(t('delete.some', { done, failed: rows.length - done }));
    flash({ type: 'success', content: t('delete.done', { n: done }) });
    onDeleted?.();
  };
  return (
    <Dialog
      title={t('delete.title', { n: rows.length })}
      act={results.size > 0 ? t('delete.retry') : t('action.delete')}
      word={word}
      code={{ request: { method: 'POST', path: '/queues/delete', body: JSON.stringify({ queues: left.slice(0, atOnce).map((r) => r.queue.id) }) } }}
      run={run}
      onClose={onClose}
    >
      <Box>{t('delete.text')}</Box>
      <div className="scroll names" tabIndex={0} role="region" aria-label={t('delete.title', { n: rows.length })}>
        <SpaceBetween size="xs">
          {rows.map((r) => {
            const result = results.get(r.queue.id);
            return (
              <div key={r.queue.id}>
                <Box variant="strong">{r.queue.name}</Box>{' '}
                <Box variant="span" color="text-body-secondary">{t('delete.row', { messages: f.count(r.queue.produced_messages), groups: r.queue.group_count })}</Box>{' '}
                {result === null && <StatusIndicator type="success">{t('delete.deleted')}</StatusIndicator>}
                {result && <StatusIndicator type="error">{sentence(t, result)}</StatusIndicator>}
              </div>
            );
          })}
        </SpaceBetween>
      </div>
    </Dialog>
  );
}
