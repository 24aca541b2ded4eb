import { useMemo, useState } from 'react';
import { useT } from '../i18n';
import { kindAt, members, skipSpace, type Member } from '../lib/rawjson';
import { Visible } from './text';

const page = 200;

/** Tree shows JSON as it was written; what is inside is read when it is opened. */
export function Tree({ text }: { text: string }) {
  const start = skipSpace(text, 0);
  const root = useMemo<Member>(() => ({ key: '', start, end: text.length }), [start, text]);
  return (
    <ul className="tree">
      <Node text={text} at={root} depth={0} />
    </ul>
  );
}

function Node({ text, at, depth }: { text: string; at: Member; depth: number }) {
  const t = useT();
  const [open, setOpen] = useState(depth < 1);
  const [shown, setShown] = useState(page);
  const kind = kindAt(text, at.start);
  const deep = kind === 'object' || kind === 'array';
  const inside = useMemo(() => (deep && open ? members(text.slice(at.start, at.end)) : []), [deep, open, text, at]);
  const part = useMemo(() => (deep && open ? text.slice(at.start, at.end) : ''), [deep, open, text, at]);
  const name = at.key === '' ? 'JSON' : at.key;
  const empty = deep && /^.\s*.$/.test(text.slice(at.start, Math.min(at.end, at.start + 40)).trim());
  return (
    <li>
      {deep && !empty && (
        <button type="button" aria-expanded={open} aria-label={t(open ? 'viewer.collapse' : 'viewer.expand', { name })} onClick={() => setOpen(!open)}>
          {open ? '▾' : '▸'}
        </button>
      )}
      {at.key !== '' && <span className="key"><Visible text={at.key} />: </span>}
      {deep ? (
        <span className="quietly">{empty ? (kind === 'object' ? '{}' : '[]') : `${kind === 'object' ? '{…}' : '[…]'}${open ? ` ${t('viewer.elements', { n: inside.length })}` : ''}`}</span>
      ) : kind === 'string' ? (
        <span className="string">"<Visible text={JSON.parse(text.slice(at.start, at.end).trimEnd()) as string} />"</span>
      ) : (
        <span className="literal">{text.slice(at.start, at.end).trimEnd()}</span>
      )}
      {inside.length > 0 && (
        <ul>
          {inside.slice(0, shown).map((m, i) => <Node key={i} text={part} at={m} depth={depth + 1} />)}
          {inside.length > shown && (
            <li><button type="button" className="key" onClick={() => setShown(shown + page)}>{t('viewer.more', { n: Math.min(page, inside.length - shown) })}</button></li>
          )}
        </ul>
      )}
    </li>
  );
}
