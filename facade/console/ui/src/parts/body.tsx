import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import Toggle from '@cloudscape-design/components/toggle';
import { useMemo, useState } from 'react';
import { useFormat } from '../app/words';
import { useT } from '../i18n';
import { hexRows } from '../lib/hex';
import { blocks } from '../lib/blocks';
import { pretty } from '../lib/rawjson';
import { Tree } from './tree';
import { Visible } from './text';

/** More characters than these are shown when they are asked for. */
const first = 64 * 1024;
const hexFirst = 4096;

export function Text({ text, label }: { text: string; label: string }) {
  const t = useT();
  const f = useFormat();
  const [all, setAll] = useState(false);
  const [wrap, setWrap] = useState(true);
  const shown = all || text.length <= first ? text : text.slice(0, first);
  return (
    <SpaceBetween size="xs">
      <Toggle checked={wrap} onChange={(e) => setWrap(e.detail.checked)}>{t('viewer.wrap')}</Toggle>
      <pre className={wrap ? 'body' : 'body straight'} tabIndex={0} role="region" aria-label={label}>{blocks(shown).map((b, i) => <span key={i} className="block"><Visible text={b} /></span>)}</pre>
      {shown.length < text.length && (
        <SpaceBetween direction="horizontal" size="s" alignItems="center">
          <span>{t('viewer.part', { size: f.bytes(first) })}</span>
          <Button onClick={() => setAll(true)}>{t('viewer.showall', { size: f.bytes(text.length) })}</Button>
        </SpaceBetween>
      )}
    </SpaceBetween>
  );
}

export function Hex({ text }: { text: string }) {
  const t = useT();
  const [shown, setShown] = useState(hexFirst);
  const bytes = useMemo(() => new TextEncoder().encode(text), [text]);
  const rows = useMemo(() => hexRows(bytes, 0, shown), [bytes, shown]);
  return (
    <SpaceBetween size="xs">
      <div className="scroll" tabIndex={0} role="region" aria-label={t('viewer.hex')}>
        <table className="hex">
          <tbody>
            {rows.map((r) => <tr key={r.offset}><td>{r.offset}</td><td>{r.bytes}</td><td>{r.text}</td></tr>)}
          </tbody>
        </table>
      </div>
      {shown < bytes.length && <Button onClick={() => setShown(shown * 4)}>{t('action.more')}</Button>}
    </SpaceBetween>
  );
}

export interface Extra {
  id: string;
  label: string;
  content: React.ReactNode;
}

/** Body shows JSON in the ways there are, and changes nothing of it. */
export function Body({ body, extra = [] }: { body: string; extra?: Extra[] }) {
  const t = useT();
  const [tab, setTab] = useState('pretty');
  const shaped = useMemo(() => (tab === 'pretty' ? pretty(body) : ''), [tab, body]);
  return (
    <Tabs
      activeTabId={tab}
      onChange={(e) => setTab(e.detail.activeTabId)}
      tabs={[
        { id: 'pretty', label: t('viewer.pretty'), content: tab === 'pretty' && <Text text={shaped} label={t('viewer.pretty')} /> },
        { id: 'tree', label: t('viewer.tree'), content: tab === 'tree' && <Tree text={body} /> },
        { id: 'raw', label: t('viewer.raw'), content: tab === 'raw' && <Text text={body} label={t('viewer.raw')} /> },
        { id: 'hex', label: t('viewer.hex'), content: tab === 'hex' && <Hex text={body} /> },
        ...extra,
      ]}
    />
  );
}
