import { useQuery } from '@tanstack/react-query';
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import { useNavigate } from 'react-router';
import { listQueues } from '../api/queries';
import { useT } from '../i18n';
import { useLive } from '../live/live';
import { places } from './nav';
import { usePreferences } from './preferences';
import { useWho } from './session';

interface Entry {
  id: string;
  section: string;
  text: string;
  run: () => void;
}

const most = 12;

/** Palette finds queues, pages and actions by a few letters. */
export function Palette({ onClose, onHelp }: { onClose: () => void; onHelp: () => void }) {
  const t = useT();
  const go = useNavigate();
  const id = useId();
  const who = useWho();
  const { paused, pause } = useLive();
  const { dark, change } = usePreferences();
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const dialog = useRef<HTMLDialogElement>(null);
  const queues = useQuery(listQueues(who.project.id));

  useEffect(() => {
    const shown = dialog.current!;
    const before = document.activeElement;
    shown.showModal();
    return () => {
      shown.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);

  const entries = useMemo<Entry[]>(() => {
    const page = t('palette.pages');
    const action = t('palette.actions');
    return [
      ...places.filter((p) => !p.operator || who.operator).map((p) => ({ id: p.path, section: page, text: t(p.key), run: () => void go(p.path) })),
      { id: 'create', section: action, text: t('queues.create'), run: () => void go('/queues/create') },
      { id: 'pause', section: action, text: t('keys.pause'), run: () => pause(!paused) },
      { id: 'theme', section: action, text: `${t('top.theme')}: ${t(dark ? 'top.light' : 'top.dark')}`, run: () => change({ theme: dark ? 'light' : 'dark' }) },
      { id: 'english', section: action, text: 'English', run: () => change({ locale: 'en' }) },
      { id: 'french', section: action, text: 'Français', run: () => change({ locale: 'fr' }) },
      { id: 'help', section: action, text: t('keys.title'), run: onHelp },
      ...(queues.data?.queues ?? []).map((q) => ({ id: q.id, section: t('palette.queues'), text: q.name, run: () => void go(`/queues/${q.id}`) })),
    ];
  }, [t, go, who.operator, queues.data, dark, change, paused, pause, onHelp]);

  const found = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return entries.slice(0, most);
    const rank = (e: Entry) => {
      const where = e.text.toLowerCase().indexOf(wanted);
      return where < 0 ? (e.id.startsWith(wanted) ? 500 : -1) : where;
    };
    return entries.map((e) => ({ e, r: rank(e) })).filter((x) => x.r >= 0).sort((a, b) => a.r - b.r).slice(0, most).map((x) => x.e);
  }, [entries, text]);

  const run = (e: Entry | undefined) => {
    if (!e) return;
    onClose();
    e.run();
  };
  const key = (e: React.KeyboardEvent) => {
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault();
      const step = e.key === 'ArrowDown' ? 1 : -1;
      setAt((n) => (found.length === 0 ? 0 : (n + step + found.length) % found.length));
    } else if (e.key === 'Enter') {
      e.preventDefault();
      run(found[at]);
    }
  };
  return (
    <dialog ref={dialog} className="palette" aria-label={t('palette.title')} onCancel={onClose} onClose={onClose} onClick={(e) => e.target === dialog.current && onClose()}>
      <input
        role="combobox"
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={found[at] ? `${id}-${at}` : undefined}
        aria-label={t('palette.title')}
        placeholder={t('palette.placeholder')}
        value={text}
        autoComplete="off"
        spellCheck={false}
        onChange={(e) => (setText(e.target.value), setAt(0))}
        onKeyDown={key}
      />
      <ul id={id} role="listbox" aria-label={t('palette.title')}>
        {found.map((e, i) => (
          <li key={e.id} id={`${id}-${i}`} role="option" aria-selected={i === at} onMouseMove={() => setAt(i)} onClick={() => run(e)}>
            <span>{e.text}</span>
            <small>{e.section}</small>
          </li>
        ))}
      </ul>
      <p role="status" className={found.length === 0 ? 'none' : 'quiet'}>{found.length === 0 ? t('palette.none') : t('palette.results', { n: found.length })}</p>
    </dialog>
  );
}
