import { AlarmTable } from '../parts/alarms';

export default function Alarms() {
  return <AlarmTable />;
}
