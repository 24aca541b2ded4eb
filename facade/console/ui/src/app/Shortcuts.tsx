import Modal from '@cloudscape-design/components/modal';
import Alert from '@cloudscape-design/components/alert';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { useNavigate } from 'react-router';
import { useT, type Key } from '../i18n';
import { useLive } from '../live/live';
import { places } from './nav';
import { usePreferences } from './preferences';
import { useWho } from './session';

/** typing says whether keys belong to a field, or a dialog is open. */
export function typing(e: KeyboardEvent): boolean {
  const at = e.target;
  if (!(at instanceof HTMLElement)) return false;
  return at.isContentEditable || /^(input|textarea|select)$/i.test(at.tagName) || at.closest('[role=dialog],[role=menu],[role=listbox]') !== null;
}

interface Actions {
  palette: () => void;
  help: () => void;
}

export function useShortcuts(actions: Actions): void {
  const go = useNavigate();
  const client = useQueryClient();
  const { paused, pause } = useLive();
  const { operator } = useWho();
  const { shortcuts } = usePreferences().preferences;
  const state = useRef({ actions, paused });
  state.current = { actions, paused };
  useEffect(() => {
    let leader = 0;
    const down = (e: KeyboardEvent) => {
      if (e.key.toLowerCase() === 'k' && (e.ctrlKey || e.metaKey) && !e.shiftKey && !e.altKey) {
        e.preventDefault();
        state.current.actions.palette();
        return;
      }
      if (!shortcuts || e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || typing(e)) return;
      if (Date.now() - leader < 1500) {
        leader = 0;
        const place = places.find((p) => p.letter === e.key && (!p.operator || operator));
        if (place) {
          e.preventDefault();
          void go(place.path);
        }
        return;
      }
      switch (e.key) {
        case 'g': leader = Date.now(); return;
        case '?': state.current.actions.help(); break;
        case 'c': void go('/queues/create'); break;
        case 'r': void client.invalidateQueries(); break;
        case 'p': pause(!state.current.paused); break;
        case '/': {
          const field = document.querySelector<HTMLElement>('[data-filter] input');
          if (!field) return;
          field.focus();
          break;
        }
        default: return;
      }
      e.preventDefault();
    };
    document.addEventListener('keydown', down);
    return () => document.removeEventListener('keydown', down);
  }, [go, client, pause, operator, shortcuts]);
}

const rows: [string[], Key][] = [
  [['Ctrl', 'K'], 'keys.palette'], [['?'], 'keys.help'], [['/'], 'keys.filter'], [['c'], 'keys.create'], [['r'], 'keys.refresh'], [['p'], 'keys.pause'],
  [['['], 'keys.previous'], [[']'], 'keys.nextmessage'], [['Esc'], 'keys.close'],
];

export function ShortcutHelp({ onClose }: { onClose: () => void }) {
  const t = useT();
  const { operator } = useWho();
  const { shortcuts } = usePreferences().preferences;
  const all = [...rows, ...places.filter((p) => p.letter && (!p.operator || operator)).map((p): [string[], Key] => [['g', p.letter!], p.key])];
  return (
    <Modal visible header={t('keys.title')} closeAriaLabel={t('action.close')} onDismiss={onClose}>
      {!shortcuts && <Alert type="info">{t('keys.off')}</Alert>}
      <dl className="keys">
        {all.map(([keys, key]) => (
          <div key={keys.join() + key}>
            <dt>{keys.map((k) => <kbd key={k}>{k}</kbd>)}</dt>
            <dd>{t(key)}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
