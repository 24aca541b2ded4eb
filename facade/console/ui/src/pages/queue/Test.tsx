import { useLocation } from 'react-router';
import { useWho } from '../../app/session';
import { Needs } from '../../parts/states';
import { Consumer } from './Consumer';
import { Sender, type Draft } from './Sender';
import type { TabProps } from './Queue';

export default function Test({ queue }: TabProps) {
  const { can } = useWho();
  const draft = useLocation().state as (Draft & { group?: string }) | null;
  return (
    <div className="two">
      <Needs permission={can('produce') || !can('consume') ? 'produce' : 'observe'}>
        {can('produce') && <Sender queue={queue} draft={draft} />}
      </Needs>
      <Needs permission="consume">
        <Consumer queue={queue} group={draft?.group} />
      </Needs>
    </div>
  );
}
