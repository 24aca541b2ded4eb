import { Charts } from '../../parts/charts';
import type { TabProps } from './Queue';

export default function Monitoring({ queue }: TabProps) {
  return <Charts queue={queue.id} retention={queue.reservation * 60} />;
}
