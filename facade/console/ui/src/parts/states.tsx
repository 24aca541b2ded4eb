import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { Component, type ReactNode } from 'react';
import { ApiError } from '../api/http';
import { useWho, type Permission } from '../app/session';
import { sentence } from '../app/words';
import { useT, type Key } from '../i18n';
import { Copy } from './copy';

/** Skeleton stands where something is being loaded. */
export function Skeleton({ lines = 4 }: { lines?: number }) {
  const t = useT();
  return (
    <div className="skeleton" role="status" aria-label={t('state.loading')}>
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} className={'bone bone-' + (i % 4)} />
      ))}
    </div>
  );
}

/** failureTitle is the heading of a page that could not be loaded. */
export function failureTitle(error: unknown): Key {
  const status = error instanceof ApiError ? error.status : 0;
  return status === 404 ? 'state.notfound' : status === 403 ? 'state.nopermission' : 'state.failed';
}

/** Failure says what went wrong, for which request, and lets try again. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const t = useT();
  const who = useWho();
  if (error instanceof ApiError && error.status === 404) return <NotFound />;
  if (error instanceof ApiError && error.status === 403) {
    return (
      <Alert type="warning" header={t('state.nopermission')}>
        {t('error.403')} <Box variant="span" color="text-body-secondary">{t('top.roles', { roles: who.project.roles.join(', ') })}</Box>
      </Alert>
    );
  }
  const id = error instanceof ApiError ? error.requestId : '';
  return (
    <Alert type="error" action={retry && <Button onClick={retry}>{t('state.retry')}</Button>}>
      <SpaceBetween size="xxs">
        <span>{sentence(t, error)}</span>
        {id && (
          <span className="request">
            {t('state.request', { id })} <Copy text={id} label={t('state.copy')} />
          </span>
        )}
      </SpaceBetween>
    </Alert>
  );
}

/** NotFound is the same for what never was and for what belongs to others. */
export function NotFound() {
  const t = useT();
  return (
    <Alert type="info" header={t('state.notfound')}>
      {t('state.notfoundtext')}
    </Alert>
  );
}

/** Needs shows its children to those who have a permission, and tells others which they lack. */
export function Needs({ permission, header, children }: { permission: Permission; header?: ReactNode; children: ReactNode }) {
  const t = useT();
  const { can, operator, project } = useWho();
  if (permission === 'operate' ? operator : can(permission)) return children;
  return (
    <SpaceBetween size="l">
      {header}
      <Alert type="warning" header={t('state.nopermission')}>
        {t('state.needs', { permission: t(`perm.${permission}`), roles: project.roles.join(', ') || t('state.none') })}
      </Alert>
    </SpaceBetween>
  );
}

interface EmptyProps {
  title: string;
  text?: string;
  good?: boolean;
  children?: ReactNode;
}

export function Empty({ title, text, good, children }: EmptyProps) {
  return (
    <Box textAlign="center" padding={{ vertical: 'l' }} color="inherit">
      <SpaceBetween size="s" alignItems="center">
        <Box variant="strong" color={good ? 'text-status-success' : 'inherit'}>
          {title}
        </Box>
        {text && <Box color="text-body-secondary">{text}</Box>}
        {children}
      </SpaceBetween>
    </Box>
  );
}

interface CrashProps {
  title: string;
  text: string;
  reload: string;
  children: ReactNode;
}

/** Crash keeps the frame alive when a page fails. */
export class Crash extends Component<CrashProps, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <Alert type="error" header={this.props.title} action={<Button onClick={() => location.reload()}>{this.props.reload}</Button>}>
        {this.props.text}
      </Alert>
    );
  }
}
