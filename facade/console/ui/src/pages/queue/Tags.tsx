import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import TokenGroup from '@cloudscape-design/components/token-group';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { send } from '../../api/http';
import { queueTags } from '../../api/queries';
import { useWho } from '../../app/session';
import { useT } from '../../i18n';
import { AsCode } from '../../parts/code';
import { Failure } from '../../parts/states';

export function Tags({ queue }: { queue: string }) {
  const t = useT();
  const { can, project } = useWho();
  const tags = useQuery(queueTags(project.id, queue));
  const [key, setKey] = useState('');
  const [value, setValue] = useState('');
  const [error, setError] = useState<unknown>(null);
  const request = { method: 'POST', path: `/queue/${queue}/tags`, body: JSON.stringify({ tag: { key, value } }) } as const;
  const act = async (run: () => Promise<unknown>) => {
    setError(null);
    try {
      await run();
      await tags.refetch();
    } catch (err) {
      setError(err);
    }
  };
  const add = () => act(async () => {
    await send(project.id, request);
    setKey('');
    setValue('');
  });
  const list = tags.data?.tags ?? [];
  return (
    <Container header={<Header variant="h2" description={t('settings.tagshint')} actions={<AsCode request={request} />}>{t('settings.tags')}</Header>}>
      <SpaceBetween size="m">
        {list.length === 0 ? t('settings.notags') : (
          <TokenGroup
            items={list.map((x) => ({ label: x.key, ...(x.value ? { description: x.value } : {}), dismissLabel: `${t('action.remove')}: ${x.key}` }))}
            readOnly={!can('manage')}
            onDismiss={(e) => void act(() => send(project.id, { method: 'DELETE', path: `/queue/${queue}/tags/${encodeURIComponent(list[e.detail.itemIndex]!.key)}` }))}
          />
        )}
        {can('manage') && (
          <form className="toolbar" onSubmit={(e) => (e.preventDefault(), key && void add())}>
            <FormField label={t('settings.tagkey')}><Input value={key} onChange={(e) => setKey(e.detail.value)} /></FormField>
            <FormField label={t('settings.tagvalue')}><Input value={value} onChange={(e) => setValue(e.detail.value)} /></FormField>
            <Button disabled={!key}>{t('settings.tagadd')}</Button>
          </form>
        )}
        {error !== null && <Failure error={error} />}
      </SpaceBetween>
    </Container>
  );
}
