import CopyToClipboard from '@cloudscape-design/components/copy-to-clipboard';
import { useT } from '../i18n';

interface Props {
  text: string;
  label: string;
  variant?: 'icon' | 'button' | 'inline';
  /** What stands before the button of the variant inline. */
  shown?: string;
}

export function Copy({ text, label, variant = 'icon', shown }: Props) {
  const t = useT();
  return (
    <CopyToClipboard
      variant={variant}
      textToCopy={text}
      copyButtonAriaLabel={label}
      {...(variant === 'button' ? { copyButtonText: label } : {})}
      {...(variant === 'inline' ? { textToDisplay: shown ?? text } : {})}
      copySuccessText={t('state.copied')}
      copyErrorText={t('state.copyfailed')}
    />
  );
}
