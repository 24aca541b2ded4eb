import { PageHeader } from '../app/page';
import { useT } from '../i18n';
import { AuditTable } from '../parts/audit';
import { Needs } from '../parts/states';

export default function Audit() {
  const t = useT();
  return (
    <Needs permission="manage" header={<PageHeader title={t('nav.audit')} description={t('audit.lead')} />}>
      <AuditTable service={false} />
    </Needs>
  );
}
