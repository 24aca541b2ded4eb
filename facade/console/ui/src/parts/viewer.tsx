import Badge from '@cloudscape-design/components/badge';
import Button from '@cloudscape-design/components/button';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import SplitPanel from '@cloudscape-design/components/split-panel';
import StatusIndicator, { type StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { history, lookRequest } from '../api/messages';
import type { Message } from '../api/types';
import { useProject } from '../app/session';
import { typing } from '../app/Shortcuts';
import { useFormat } from '../app/words';
import { useT, type Key } from '../i18n';
import { download } from '../lib/export';
import { Body, Text } from './body';
import { AsCode } from './code';
import { Copy } from './copy';
import { Failure, Skeleton } from './states';
import { Time, Visible } from './text';

const looks: Record<string, StatusIndicatorProps.Type> = { waiting: 'pending', in_flight: 'in-progress', delivered: 'in-progress', acked: 'success', skipped: 'stopped', dead: 'error', not_selected: 'stopped' };

export function MessageState({ state }: { state: string }) {
  const t = useT();
  return <StatusIndicator type={looks[state] ?? 'info'}>{t(`state.${state}` as Key)}</StatusIndicator>;
}

function Groups({ queue, sequence }: { queue: string; sequence: number }) {
  const t = useT();
  const project = useProject();
  const found = useQuery({ queryKey: ['message', project, queue, sequence], queryFn: ({ signal }) => history(project, queue, sequence, { signal }) });
  if (found.error) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Skeleton />;
  return (
    <Table
      variant="embedded"
      items={found.data.groups}
      trackBy="group_id"
      ariaLabels={{ tableLabel: t('viewer.history') }}
      columnDefinitions={[
        { id: 'name', header: t('groups.name'), cell: (g) => g.name, isRowHeader: true },
        { id: 'state', header: t('viewer.state'), cell: (g) => <MessageState state={g.state} /> },
        { id: 'until', header: t('viewer.until'), cell: (g) => <Time at={g.leased_until} /> },
        { id: 'failures', header: t('viewer.failures'), cell: (g) => g.failures },
        { id: 'reason', header: t('viewer.reason'), cell: (g) => (g.dead ? <Visible text={g.dead.reason} /> : '–') },
      ]}
      empty={t('groups.none')}
    />
  );
}

interface Props {
  queue: string;
  message: Message;
  /** Dead letters and delayed messages have a number of their own. */
  ownHistory: boolean;
  onStep?: (step: number) => void;
  onClose: () => void;
  onAgain?: (m: Message) => void;
}

/** Viewer shows one message in the panel below the page. */
export function Viewer({ queue, message, ownHistory, onStep, onClose, onAgain }: Props) {
  const t = useT();
  const f = useFormat();
  useEffect(() => {
    const down = (e: KeyboardEvent) => {
      if (typing(e) || e.ctrlKey || e.metaKey || e.altKey) return;
      if (e.key === '[') onStep?.(-1);
      else if (e.key === ']') onStep?.(1);
      else if (e.key === 'Escape') onClose();
    };
    document.addEventListener('keydown', down);
    return () => document.removeEventListener('keydown', down);
  }, [onStep, onClose]);
  const pairs = [
    { label: t('viewer.sent'), value: <Time at={message.sent} /> },
    { label: t('viewer.size'), value: f.bytes(message.size) },
    { label: t('viewer.id'), value: message.id ? <Copy variant="inline" text={message.id} label={t('viewer.id')} /> : '–' },
    { label: t('viewer.labels'), value: message.labels.length > 0 ? <SpaceBetween direction="horizontal" size="xxs">{message.labels.map((l) => <Badge key={l}>{l}</Badge>)}</SpaceBetween> : '–' },
    ...(message.due ? [{ label: t('viewer.due'), value: <Time at={message.due} /> }] : []),
    ...(message.state ? [{ label: t('viewer.state'), value: <MessageState state={message.state} /> }] : []),
    ...(message.dead ? [{ label: t('viewer.failures'), value: String(message.dead.failures) }, { label: t('viewer.reason'), value: <Visible text={message.dead.reason} /> }] : []),
  ];
  return (
    <SplitPanel
      header={t('viewer.title', { n: f.count(message.sequence) })}
      closeBehavior="hide"
      i18nStrings={{ preferencesTitle: t('viewer.prefs'), closeButtonAriaLabel: t('action.close'), openButtonAriaLabel: t('viewer.panel'), resizeHandleAriaLabel: t('viewer.resize'), preferencesConfirm: t('action.apply'), preferencesCancel: t('action.cancel'), preferencesPositionLabel: t('viewer.panel'), preferencesPositionDescription: '', preferencesPositionSide: '', preferencesPositionBottom: '' }}
      hidePreferencesButton
      headerActions={
        <SpaceBetween direction="horizontal" size="xxs" alignItems="center">
          {onStep && <Button variant="icon" iconName="angle-up" ariaLabel={t('viewer.previous')} onClick={() => onStep(-1)} />}
          {onStep && <Button variant="icon" iconName="angle-down" ariaLabel={t('viewer.next')} onClick={() => onStep(1)} />}
        </SpaceBetween>
      }
    >
      <SpaceBetween size="m">
        <KeyValuePairs columns={4} minColumnWidth={170} items={pairs} />
        <SpaceBetween direction="horizontal" size="xs" alignItems="center">
          <Copy variant="button" text={message.body} label={t('viewer.copy')} />
          <Button iconName="download" onClick={() => download(`message-${message.sequence}.json`, 'application/json', message.body)}>{t('viewer.download')}</Button>
          {onAgain && <Button iconName="redo" onClick={() => onAgain(message)}>{t('viewer.again')}</Button>}
          <AsCode request={ownHistory ? { method: 'GET', path: `/queues/${queue}/messages/${message.sequence}` } : lookRequest(queue, { from_sequence: message.sequence, limit: 1 })} />
        </SpaceBetween>
        <Body
          key={message.sequence}
          body={message.body}
          extra={[
            { id: 'attributes', label: t('viewer.attributes'), content: message.attributes ? <Text text={message.attributes} label={t('viewer.attributes')} /> : t('viewer.noattributes') },
            { id: 'history', label: t('viewer.history'), content: ownHistory ? <Groups queue={queue} sequence={message.sequence} /> : t('viewer.nohistory') },
          ]}
        />
      </SpaceBetween>
    </SplitPanel>
  );
}
