import SpaceBetween from '@cloudscape-design/components/space-between';
import { PageHeader } from '../app/page';
import { useT } from '../i18n';
import { AuditTable } from '../parts/audit';
import { Needs } from '../parts/states';

export default function Audit() {
  const t = useT();
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('nav.audit')} description={t('audit.lead')} />
      <Needs permission="manage">
        <AuditTable service={false} />
      </Needs>
    </SpaceBetween>
  );
}
