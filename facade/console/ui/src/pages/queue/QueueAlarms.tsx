import { AlarmTable } from '../../parts/alarms';
import type { TabProps } from './Queue';

export default function QueueAlarms({ queue }: TabProps) {
  return <AlarmTable queue={queue} />;
}
