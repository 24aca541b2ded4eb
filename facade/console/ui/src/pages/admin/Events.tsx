import { PageHeader } from '../../app/page';
import { useT } from '../../i18n';
import { AuditTable } from '../../parts/audit';
import { Needs } from '../../parts/states';

export default function Events() {
  const t = useT();
  return (
    <Needs permission="operate" header={<PageHeader title={t('nav.events')} description={t('audit.service')} />}>
      <AuditTable service={true} />
    </Needs>
  );
}
