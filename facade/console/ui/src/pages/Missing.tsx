import SpaceBetween from '@cloudscape-design/components/space-between';
import { PageHeader } from '../app/page';
import { useT } from '../i18n';
import { NotFound } from '../parts/states';

export default function Missing() {
  const t = useT();
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('state.notfound')} />
      <NotFound />
    </SpaceBetween>
  );
}
