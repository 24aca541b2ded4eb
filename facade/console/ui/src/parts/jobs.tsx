import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ProgressBar from '@cloudscape-design/components/progress-bar';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { json } from '../api/http';
import { listJobs } from '../api/queries';
import type { Job } from '../api/types';
import { useWho } from '../app/session';
import { useFormat } from '../app/words';
import { useT, type Key } from '../i18n';
import { useLive } from '../live/live';

const recent = 10 * 60_000;

/** Jobs shows the redrives that run, and those that ended a short while ago. */
export function Jobs({ queue }: { queue?: string }) {
  const t = useT();
  const f = useFormat();
  const live = useLive();
  const client = useQueryClient();
  const { can, project } = useWho();
  const jobs = useQuery({ ...listJobs(project.id, queue), refetchInterval: (q) => (q.state.data?.jobs.some((j) => j.state === 'running') ? live.every(1000) : false) });
  const shown = (jobs.data?.jobs ?? []).filter((j) => j.state === 'running' || Date.now() - new Date(j.updated).getTime() < recent).slice(0, 3);
  const moved = shown.map((j) => j.state + j.moved).join();
  const before = useRef(moved);
  useEffect(() => {
    if (before.current === moved) return;
    before.current = moved;
    void client.invalidateQueries({ queryKey: ['groups'] });
  }, [moved, client]);
  if (shown.length === 0) return null;
  const cancel = async (j: Job) => {
    await json(project.id, { method: 'POST', path: `/jobs/${j.id}/cancel` }).catch(() => undefined);
    await jobs.refetch();
  };
  return (
    <Container>
      <SpaceBetween size="m">
        {shown.map((j) => {
          const done = j.moved + j.skipped + j.failed;
          const target = t(`job.${j.target}` as Key);
          return (
            <div key={j.id ?? j.created} className="job">
              <ProgressBar
                label={t(`job.${j.state}`, { target })}
                value={j.state === 'done' ? 100 : j.total === 0 ? 0 : Math.floor((done / j.total) * 100)}
                additionalInfo={t('job.progress', { moved: f.count(j.moved), skipped: f.count(j.skipped), failed: f.count(j.failed), total: f.count(j.total) })}
                status={j.state === 'running' ? 'in-progress' : j.state === 'done' ? 'success' : 'error'}
                {...(j.state === 'running' ? {} : { resultText: j.problem || t(`job.${j.state}`, { target }) })}
              />
              {j.state === 'running' && <Button disabled={!can('manage')} onClick={() => void cancel(j)}>{t('job.cancel')}</Button>}
            </div>
          );
        })}
      </SpaceBetween>
    </Container>
  );
}
