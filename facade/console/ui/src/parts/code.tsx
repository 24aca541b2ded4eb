import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import { useState } from 'react';
import { useT } from '../i18n';
import { curl, go, python, type Request } from '../lib/code';
import { Copy } from './copy';

export function Code({ text, what }: { text: string; what: string }) {
  const t = useT();
  return (
    <div className="code">
      <pre tabIndex={0} aria-label={what}>{text}</pre>
      <span className="code-copy">
        <Copy text={text} label={t('code.copy', { what })} />
      </span>
    </div>
  );
}

export interface CodeProps {
  request: Request;
  /** HCL, where there is a resource for it. */
  terraform?: string | undefined;
}

export function CodeTabs({ request, terraform }: CodeProps) {
  const tabs = [
    { id: 'curl', label: 'curl', text: curl(request) },
    { id: 'go', label: 'Go', text: go(request) },
    { id: 'python', label: 'Python', text: python(request) },
    ...(terraform === undefined ? [] : [{ id: 'terraform', label: 'Terraform', text: terraform }]),
  ];
  return <Tabs tabs={tabs.map((tab) => ({ id: tab.id, label: tab.label, content: <Code text={tab.text} what={tab.label} /> }))} />;
}

/** AsCode is a button that shows an action as code. */
export function AsCode({ request, terraform }: CodeProps) {
  const t = useT();
  const [open, set] = useState(false);
  return (
    <>
      <Button iconName="script" variant="icon" ariaLabel={t('action.code')} onClick={() => set(true)} />
      {open && (
        <Modal visible header={t('code.title')} size="large" closeAriaLabel={t('action.close')} onDismiss={() => set(false)}>
          <SpaceBetween size="s">
            <Box color="text-body-secondary">{t('code.lead')}</Box>
            <CodeTabs request={request} terraform={terraform} />
          </SpaceBetween>
        </Modal>
      )}
    </>
  );
}
