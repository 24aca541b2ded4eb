import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState, type ReactNode } from 'react';
import { useT } from '../i18n';
import { AsCode, type CodeProps } from './code';
import { Failure } from './states';

interface Props {
  title: string;
  /** What the button says that does it. */
  act: string;
  children?: ReactNode;
  /** A word that must be typed first. */
  word?: string;
  code?: CodeProps;
  disabled?: boolean;
  size?: 'medium' | 'large';
  /** Does it. The dialog closes when it succeeds and shows the error when not. */
  run: () => Promise<unknown>;
  onClose: () => void;
}

/** Dialog asks before something is done, does it, and says why not. */
export function Dialog({ title, act, children, word, code, disabled, size, run, onClose }: Props) {
  const t = useT();
  const [typed, setTyped] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const ready = !disabled && (word === undefined || typed.trim() === word);
  const go = async () => {
    if (!ready || busy) return;
    setBusy(true);
    setError(null);
    try {
      await run();
      onClose();
    } catch (err) {
      setError(err);
      setBusy(false);
    }
  };
  return (
    <Modal
      visible
      header={title}
      size={size ?? 'medium'}
      closeAriaLabel={t('action.close')}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs" alignItems="center">
            {code && <AsCode {...code} />}
            <Button variant="link" onClick={onClose}>{t('action.cancel')}</Button>
            <Button variant="primary" loading={busy} disabled={!ready} onClick={() => void go()}>{act}</Button>
          </SpaceBetween>
        </Box>
      }
    >
      <form onSubmit={(e) => (e.preventDefault(), void go())}>
        <SpaceBetween size="m">
          {children}
          {word !== undefined && (
            <FormField label={t('confirm.type', { word })} errorText={typed && typed.trim() !== word && typed.length >= word.length ? t('confirm.mismatch', { word }) : ''}>
              <Input value={typed} onChange={(e) => setTyped(e.detail.value)} autoComplete={false} spellcheck={false} />
            </FormField>
          )}
          {error !== null && <Failure error={error} />}
        </SpaceBetween>
      </form>
    </Modal>
  );
}
