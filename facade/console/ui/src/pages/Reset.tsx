import Alert from '@cloudscape-design/components/alert';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import RadioGroup from '@cloudscape-design/components/radio-group';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { json } from '../api/http';
import type { Move, MoveResult } from '../api/types';
import { useFlash } from '../app/flash';
import { useProject } from '../app/session';
import { useFormat } from '../app/words';
import { useT } from '../i18n';
import { Dialog } from '../parts/dialog';
import { Failure } from '../parts/states';

const places = ['begin', 'end', 'time', 'sequence'] as const;

// The field of the browser takes the time of the place where it is.
function localTime(at: Date): string {
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** Reset moves a group, and says before what that does. */
export function Reset({ queue, group, onClose }: { queue: string; group: { id: string; name: string }; onClose: () => void }) {
  const t = useT();
  const f = useFormat();
  const project = useProject();
  const client = useQueryClient();
  const flash = useFlash();
  const [to, setTo] = useState<Move['to']>('begin');
  const [time, setTime] = useState(() => localTime(new Date(Date.now() - 3_600_000)));
  const [number, setNumber] = useState('1');
  const when = new Date(time);
  const valid = to === 'time' ? !Number.isNaN(when.getTime()) : to === 'sequence' ? Number.isInteger(Number(number)) && Number(number) >= 1 : true;
  const body: Move = { to, ...(to === 'time' && valid ? { time: when.toISOString() } : {}), ...(to === 'sequence' ? { sequence: Number(number) } : {}) };
  const path = `/queues/${queue}/groups/${group.id}/position`;
  const dry = useQuery({
    queryKey: ['dry', project, path, body],
    queryFn: ({ signal }) => json<MoveResult>(project, { method: 'POST', path, body: JSON.stringify({ ...body, dry_run: true }) }, { signal }),
    enabled: valid,
  });
  const request = { method: 'POST', path, body: JSON.stringify(body) } as const;
  const run = async () => {
    const done = await json<MoveResult>(project, request);
    flash({ type: 'success', content: t('reset.done', { n: f.count(done.to_sequence) }) });
    await client.invalidateQueries({ queryKey: ['groups'] });
  };
  return (
    <Dialog title={t('reset.title', { name: group.name })} act={t('reset.move')} word={group.name} code={{ request }} disabled={!valid || !dry.data} run={run} onClose={onClose}>
      <FormField label={t('reset.where')}>
        <RadioGroup value={to} onChange={(e) => setTo(e.detail.value as Move['to'])} items={places.map((p) => ({ value: p, label: t(`reset.${p}`), description: t(`reset.${p}hint`) }))} />
      </FormField>
      {to === 'time' && (
        <FormField label={t('reset.when')} constraintText={t('reset.whenhint')}>
          <input type="datetime-local" step="1" className="datetime" value={time} onChange={(e) => setTime(e.target.value)} aria-label={t('reset.when')} />
        </FormField>
      )}
      {to === 'sequence' && (
        <FormField label={t('reset.number')}>
          <Input type="number" inputMode="numeric" value={number} onChange={(e) => setNumber(e.detail.value)} />
        </FormField>
      )}
      <div aria-live="polite">
        {dry.error ? <Failure error={dry.error} retry={() => void dry.refetch()} /> : (
          <Alert type="warning" header={t('reset.preview')}>
            {dry.data ? (
              <>
                <div>{t('reset.from', { from: f.count(dry.data.from_sequence), to: f.count(dry.data.to_sequence) })}</div>
                <div>{t('reset.skipped', { n: dry.data.skipped })}</div>
                <div>{t('reset.repeated', { n: dry.data.repeated })}</div>
                {!dry.data.exact && <div>{t('reset.about')}</div>}
                <div>{t('reset.warning')}</div>
              </>
            ) : t('redrive.counting')}
          </Alert>
        )}
      </div>
    </Dialog>
  );
}
