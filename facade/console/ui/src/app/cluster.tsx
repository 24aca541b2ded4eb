import Button from '@cloudscape-design/components/button';
import type { FlashbarProps } from '@cloudscape-design/components/flashbar';
import { useQuery } from '@tanstack/react-query';
import { useLocation } from 'react-router';
import { ApiError } from '../api/http';
import { showCluster } from '../api/queries';
import { useT } from '../i18n';
import { standing, verdict } from '../lib/verdict';
import { useLive } from '../live/live';
import { useWho } from './session';

/** Milliseconds between questions for the cluster; an answer takes two seconds more while a node is away. */
export const clusterEvery = 2000;

/** useClusterTrouble tells operators on every page when a member is away or nothing is stored. */
export function useClusterTrouble(open: () => void): FlashbarProps.MessageDefinition[] {
  const t = useT();
  const at = useLocation();
  const live = useLive();
  const { operator } = useWho();
  const found = useQuery({
    ...showCluster(),
    enabled: operator,
    // A service without a cluster of its own has nothing to tell.
    refetchInterval: (q) => (q.state.error instanceof ApiError && [403, 404].includes(q.state.error.status) ? false : live.every(clusterEvery)),
  });
  const c = found.data;
  if (!operator || !c || (c.up === c.size && c.stores && c.silent_members.length === 0)) return [];
  const how = standing(c);
  return [
    {
      id: 'cluster',
      type: how === 'safe' || how === 'none' ? 'warning' : 'error',
      content: t(...verdict(c)),
      ariaRole: 'status',
      ...(at.pathname === '/admin/cluster' ? {} : { action: <Button onClick={open}>{t('cluster.open')}</Button> }),
    },
  ];
}
