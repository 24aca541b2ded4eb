import { useRef } from 'react';
import type { UseQueryResult } from '@tanstack/react-query';

/**
 * useFailure is why a query has no answer. A query without one forgets its error while it is
 * asked again; this does not, so that a page does not go back to "loading" each time.
 */
export function useFailure({ error, errorUpdatedAt, isPending }: UseQueryResult): Error | null {
  const last = useRef<{ at: number; error: Error | null }>({ at: 0, error: null });
  if (error) last.current = { at: errorUpdatedAt, error };
  if (error || !isPending) return error;
  return last.current.at === errorUpdatedAt ? last.current.error : null; // at differs for another query
}
