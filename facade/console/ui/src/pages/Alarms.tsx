import SpaceBetween from '@cloudscape-design/components/space-between';
import { PageHeader } from '../app/page';
import { useT } from '../i18n';
import { AlarmTable } from '../parts/alarms';

export default function Alarms() {
  const t = useT();
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('nav.alarms')} description={t('alarms.lead')} />
      <AlarmTable />
    </SpaceBetween>
  );
}
