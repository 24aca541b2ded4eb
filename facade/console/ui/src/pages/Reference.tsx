import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Link from '@cloudscape-design/components/link';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { ApiError } from '../api/http';
import { PageHeader } from '../app/page';
import { useT } from '../i18n';
import { curl } from '../lib/code';
import { operations } from '../lib/operations';
import { Code } from '../parts/code';
import { Failure, Skeleton } from '../parts/states';

const start = `. .dms/dev.env
${curl({ method: 'GET', path: '/queues' })}`;

const sdk = `client := dms.NewDmsClient(dms.DmsClientBuilder().
	WithEndpoint(os.Getenv("DMS_ENDPOINT")).
	WithCredential(basic.NewCredentialsBuilder().
		WithAk(os.Getenv("DMS_ACCESS_KEY")).
		WithSk(os.Getenv("DMS_SECRET_KEY")).
		WithProjectId(os.Getenv("DMS_PROJECT_ID")).
		Build()).
	Build())`;

export default function Reference() {
  const t = useT();
  const [find, setFind] = useState('');
  const document = useQuery({
    queryKey: ['openapi'],
    staleTime: Infinity,
    queryFn: async () => {
      const response = await fetch('/openapi.yaml');
      if (!response.ok) throw new ApiError(response.status, '', response.statusText, response.headers.get('X-Request-Id') ?? '');
      return response.text();
    },
  });
  const list = useMemo(() => operations(document.data ?? ''), [document.data]);
  const wanted = find.trim().toLowerCase();
  const shown = list.filter((o) => `${o.method} ${o.path} ${o.summary} ${o.id}`.toLowerCase().includes(wanted));
  const tags = [...new Set(shown.map((o) => o.tag))];
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('nav.api')} description={t('api.lead')} actions={<Link href="/openapi.yaml" target="_blank" external externalIconAriaLabel="↗">{t('api.document')}</Link>} />
      <div className="two">
        <Container fitHeight header={<Header variant="h2" description={t('api.starttext')}>{t('api.start')}</Header>}><Code text={start} what="curl" /></Container>
        <Container fitHeight header={<Header variant="h2" description="github.com/huaweicloud/huaweicloud-sdk-go-v3@v0.1.30">{t('api.sdk')}</Header>}><Code text={sdk} what="Go" /></Container>
      </div>
      <Container header={<Header variant="h2" counter={list.length > 0 ? `(${shown.length})` : ''}>{t('api.operations')}</Header>}>
        {document.error && <Failure error={document.error} retry={() => void document.refetch()} />}
        {document.isPending && <Skeleton lines={8} />}
        {document.data && (
          <SpaceBetween size="l">
            <div data-filter><Input type="search" ariaLabel={t('api.find')} placeholder={t('api.find')} value={find} clearAriaLabel={t('action.clear')} onChange={(e) => setFind(e.detail.value)} /></div>
            {tags.map((tag) => (
              <section key={tag} aria-label={tag}>
                <h3 className="tag" lang="en">{tag}</h3>
                <ul className="operations" lang="en">
                  {shown.filter((o) => o.tag === tag).map((o) => (
                    <li key={o.id}><span className="method">{o.method}</span> <code>{o.path}</code> <span className="muted">{o.summary}</span></li>
                  ))}
                </ul>
              </section>
            ))}
          </SpaceBetween>
        )}
      </Container>
    </SpaceBetween>
  );
}
