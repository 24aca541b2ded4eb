import SpaceBetween from '@cloudscape-design/components/space-between';
import { PageHeader } from '../../app/page';
import { useT } from '../../i18n';
import { AuditTable } from '../../parts/audit';
import { Needs } from '../../parts/states';

export default function Events() {
  const t = useT();
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('nav.events')} description={t('audit.service')} />
      <Needs permission="operate">
        <AuditTable service={true} />
      </Needs>
    </SpaceBetween>
  );
}
