import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useEffect, type ReactNode } from 'react';
import { LiveProvider } from '../live/live';
import { useT } from '../i18n';
import { loginURL, SessionProvider, useStanding } from './session';

function Card({ children }: { children: ReactNode }) {
  const t = useT();
  useEffect(() => {
    document.title = t('session.title');
  }, [t]);
  return (
    <main className="gate">
      <div className="gate-card">
        <img src={import.meta.env.BASE_URL + 'icon.svg'} alt="" width="48" height="48" />
        <SpaceBetween size="m">
          <div>
            <h1>{t('session.title')}</h1>
            <Box color="text-body-secondary">{t('session.lead')}</Box>
          </div>
          {children}
        </SpaceBetween>
      </div>
    </main>
  );
}

/** Gate lets in who is signed in, and offers the others the ways to sign in. */
export function Gate({ children }: { children: ReactNode }) {
  const t = useT();
  const [standing, look] = useStanding();
  switch (standing.state) {
    case 'loading':
      return <main className="gate" aria-busy="true" aria-label={t('session.loading')} />;
    case 'unreachable':
      return (
        <Card>
          <Alert type="error" action={<Button onClick={() => void look()}>{t('state.retry')}</Button>}>{t('error.network')}</Alert>
        </Card>
      );
    case 'nobody':
      return (
        <Card>
          <SpaceBetween size="s">
            {standing.providers.length === 0 && <Button variant="primary" fullWidth href={loginURL()}>{t('session.signin')}</Button>}
            {standing.providers.map((p, i) => (
              <Button key={p.id} variant={i === 0 ? 'primary' : 'normal'} fullWidth href={loginURL(p.id)}>
                {t('session.with', { name: p.name })}
              </Button>
            ))}
          </SpaceBetween>
        </Card>
      );
    case 'somebody':
      if (standing.session.projects.length === 0) {
        return (
          <Card>
            <Alert type="warning">{t('session.noprojects', { name: standing.session.name })}</Alert>
          </Card>
        );
      }
      return (
        <SessionProvider session={standing.session} look={look}>
          <LiveProvider>{children}</LiveProvider>
        </SessionProvider>
      );
  }
}
