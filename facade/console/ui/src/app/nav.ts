import type { SideNavigationProps } from '@cloudscape-design/components/side-navigation';
import type { Key, T } from '../i18n';

export interface Place {
  key: Key;
  path: string;
  /** Second key of "g …". */
  letter?: string;
  operator?: boolean;
}

export const places: Place[] = [
  { key: 'nav.overview', path: '/', letter: 'o' },
  { key: 'nav.queues', path: '/queues', letter: 'q' },
  { key: 'nav.dead', path: '/dead-letters', letter: 'd' },
  { key: 'nav.alarms', path: '/alarms', letter: 'a' },
  { key: 'nav.keys', path: '/access-keys', letter: 'k' },
  { key: 'nav.usage', path: '/usage', letter: 'u' },
  { key: 'nav.audit', path: '/audit', letter: 't' },
  { key: 'nav.api', path: '/api', letter: 'r' },
  { key: 'nav.settings', path: '/settings', letter: 's' },
  { key: 'nav.projects', path: '/admin/projects', letter: 'p', operator: true },
  { key: 'nav.events', path: '/admin/events', letter: 'e', operator: true },
];

export const base = '/console';

export function navigation(t: T, operator: boolean): SideNavigationProps.Item[] {
  const link = (p: Place): SideNavigationProps.Item => ({ type: 'link', text: t(p.key), href: base + (p.path === '/' ? '/' : p.path) });
  const own = places.filter((p) => !p.operator);
  return [
    ...own.slice(0, 4).map(link),
    { type: 'divider' },
    ...own.slice(4).map(link),
    ...(operator ? [{ type: 'section', text: t('nav.operator'), items: places.filter((p) => p.operator).map(link) } as const] : []),
  ];
}
