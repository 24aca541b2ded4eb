import Link from '@cloudscape-design/components/link';
import { useMemo, type ReactNode } from 'react';
import { useNavigate } from 'react-router';
import { base } from '../app/nav';
import { useFormat } from '../app/words';
import { pieces } from '../lib/visible';

/** Visible shows any text as text, with names for what cannot be seen. */
export function Visible({ text }: { text: string }) {
  const parts = useMemo(() => pieces(text), [text]);
  return parts.map((p, i) => (p.name ? <span key={i} className="named" title={'U+' + p.text.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}>{p.name}</span> : p.text));
}

/** Time shows a time in the way that was chosen, and the other way on request. */
export function Time({ at }: { at: number | string | null | undefined }) {
  const f = useFormat();
  if (at === null || at === undefined || at === '') return '–';
  return (
    <time dateTime={new Date(at).toISOString()} title={f.relative ? f.moment(at) : f.ago(at)}>
      {f.time(at)}
    </time>
  );
}

/** To is a link inside the console. */
export function To({ path, children, variant, label }: { path: string; children: ReactNode; variant?: 'primary' | 'secondary'; label?: string }) {
  const go = useNavigate();
  return (
    <Link
      href={base + path}
      {...(variant ? { variant } : {})}
      {...(label ? { ariaLabel: label } : {})}
      onFollow={(e) => {
        e.preventDefault();
        void go(path);
      }}
    >
      {children}
    </Link>
  );
}

export function Num({ children, bad }: { children: ReactNode; bad?: boolean }) {
  return <span className={bad ? 'number bad' : 'number'}>{children}</span>;
}
