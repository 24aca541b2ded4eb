import TopNavigation, { type TopNavigationProps } from '@cloudscape-design/components/top-navigation';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from 'react-router';
import { useT } from '../i18n';
import { listAlarms } from '../api/queries';
import { pollSeconds, useLive } from '../live/live';
import { useNarrow, usePreferences } from './preferences';
import { useWho } from './session';
import { useFormat } from './words';

interface Props {
  onPalette: () => void;
  onHelp: () => void;
}

const dot = (mode: string) => (
  <svg viewBox="0 0 16 16" className={'dot dot-' + mode} focusable="false" aria-hidden="true">
    {mode === 'paused' ? <path d="M4 3h3v10H4zM9 3h3v10H9z" /> : <circle cx="8" cy="8" r="5" />}
  </svg>
);

export function TopBar({ onPalette, onHelp }: Props) {
  const t = useT();
  const go = useNavigate();
  const narrow = useNarrow();
  const who = useWho();
  const { mode, since, paused, pause } = useLive();
  const { preferences, change } = usePreferences();
  const { clock } = useFormat();
  const alarms = useQuery(listAlarms(who.project.id));
  const firing = alarms.data?.alarms.filter((a) => a.status === 'firing').length ?? 0;

  const state = mode === 'polling' ? t('live.polling', { n: pollSeconds }) : mode === 'stale' ? t('live.stale', { at: clock(since ?? Date.now(), false) }) : t(`live.${mode}`);
  const mark = (on: boolean) => (on ? ({ iconName: 'check' } as const) : {});
  const utilities: TopNavigationProps.Utility[] = [
    {
      type: 'menu-dropdown',
      text: who.project.name || who.project.id,
      ariaLabel: t('top.switch', { name: who.project.name || who.project.id }),
      items: [{ id: 'projects', text: t('top.project'), items: who.session.projects.map((p) => ({ id: p.id, text: p.name || p.id, description: p.id, ...mark(p.id === who.project.id) })) }],
      onItemClick: (e) => {
        who.choose(e.detail.id);
        void go('/');
      },
    },
    {
      type: 'button',
      text: state,
      iconSvg: dot(mode),
      ariaLabel: paused ? t('live.resume', { state }) : t('live.pause', { state }),
      disableUtilityCollapse: true,
      disableTextCollapse: !narrow,
      onClick: () => pause(!paused),
    },
    {
      type: 'button',
      iconName: 'notification',
      badge: firing > 0,
      ariaLabel: t('top.alarms', { n: firing }),
      title: t('top.alarms', { n: firing }),
      href: '/console/alarms',
      onClick: (e) => (e.preventDefault(), void go('/alarms')),
    },
    {
      type: 'menu-dropdown',
      iconName: 'settings',
      ariaLabel: t('top.display'),
      title: t('top.display'),
      items: [
        { id: 'theme', text: t('top.theme'), items: (['system', 'light', 'dark'] as const).map((x) => ({ id: 'theme:' + x, text: t(`top.${x}`), ...mark(preferences.theme === x) })) },
        { id: 'language', text: t('top.language'), items: [{ id: 'locale:en', text: 'English', lang: 'en', ...mark(preferences.locale === 'en') }, { id: 'locale:fr', text: 'Français', lang: 'fr', ...mark(preferences.locale === 'fr') }] },
        { id: 'density', text: t('top.density'), items: (['comfortable', 'compact'] as const).map((x) => ({ id: 'density:' + x, text: t(`top.${x}`), ...mark(preferences.density === x) })) },
      ],
      onItemClick: (e) => {
        const [name, value] = e.detail.id.split(':') as [string, string];
        change({ [name]: value });
      },
    },
    {
      type: 'menu-dropdown',
      iconName: 'user-profile',
      ...(narrow ? {} : { text: who.session.name || who.session.subject }),
      ariaLabel: t('top.user', { name: who.session.name || who.session.subject }),
      description: t('top.roles', { roles: who.project.roles.join(', ') }),
      items: [
        { id: 'settings', text: t('nav.settings') },
        { id: 'shortcuts', text: t('top.shortcuts') },
        { id: 'signout', text: t('top.signout') },
      ],
      onItemClick: (e) => {
        if (e.detail.id === 'signout') void who.signOut();
        else if (e.detail.id === 'shortcuts') onHelp();
        else void go('/settings');
      },
    },
  ];
  return (
    <TopNavigation
      identity={{ title: t('app.name'), href: '/console/', logo: { src: import.meta.env.BASE_URL + 'icon.svg', alt: '' }, onFollow: (e) => (e.preventDefault(), void go('/')) }}
      search={
        <button type="button" className="find" onClick={onPalette} aria-keyshortcuts="Control+K">
          <span>{t('top.search')}</span> <kbd>Ctrl K</kbd>
        </button>
      }
      utilities={utilities}
      i18nStrings={{ searchIconAriaLabel: t('top.search'), searchDismissIconAriaLabel: t('action.close'), overflowMenuTriggerText: t('top.more'), overflowMenuTitleText: t('top.more') }}
    />
  );
}
