import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useEffect, useState } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { useT } from '../i18n';
import { useFlash } from './flash';
import { loginURL, useWho } from './session';
import { useFormat } from './words';

const warnBefore = 120_000;

/** SessionEnd says in words that the session ends, or has ended, and keeps the page as it is. */
export function SessionEnd() {
  const t = useT();
  const who = useWho();
  const flash = useFlash();
  const client = useQueryClient();
  const { duration } = useFormat();
  const [still, setStill] = useState(false);
  const end = new Date(who.session.expires_at).getTime();

  useEffect(() => {
    if (Number.isNaN(end)) return undefined;
    const wait = end - warnBefore - Date.now();
    if (wait > 2 ** 31 - 1) return undefined;
    const timer = setTimeout(
      () =>
        flash({
          type: 'warning',
          content: t('session.ends', { time: duration((end - Date.now()) / 1000) }),
          action: <Button href={loginURL()} target="_blank">{t('session.again')}</Button>,
        }),
      Math.max(0, wait),
    );
    return () => clearTimeout(timer);
  }, [end, flash, t, duration]);

  if (!who.expired) return null;
  const back = async () => {
    const yes = await who.again();
    setStill(!yes);
    if (yes) await client.invalidateQueries();
  };
  return (
    <Modal
      visible
      header={t('session.ended')}
      closeAriaLabel={t('action.close')}
      onDismiss={() => void back()}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button onClick={() => void back()}>{t('session.back')}</Button>
            <Button variant="primary" href={loginURL()} target="_blank" iconName="external">{t('session.again')}</Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="s">
        <span>{t('session.endedtext')}</span>
        {still && <Alert type="info">{t('session.still')}</Alert>}
      </SpaceBetween>
    </Modal>
  );
}
