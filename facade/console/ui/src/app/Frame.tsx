import AppLayout from '@cloudscape-design/components/app-layout';
import BreadcrumbGroup from '@cloudscape-design/components/breadcrumb-group';
import SideNavigation from '@cloudscape-design/components/side-navigation';
import { useIsFetching } from '@tanstack/react-query';
import { Suspense, useEffect, useRef, useState } from 'react';
import { Outlet, useLocation, useNavigate } from 'react-router';
import { useT } from '../i18n';
import { useLive } from '../live/live';
import { Crash, Skeleton } from '../parts/states';
import { FlashList } from './flash';
import { base, navigation } from './nav';
import { PageProvider, usePageTrail } from './page';
import { Palette } from './Palette';
import { usePanelContent } from './panel';
import { useMedia } from './preferences';
import { useWho } from './session';
import { SessionEnd } from './SessionEnd';
import { ShortcutHelp, useShortcuts } from './Shortcuts';
import { TopBar } from './TopBar';
import { useFormat } from './words';

export default function Frame() {
  return (
    <PageProvider>
      <Layout />
    </PageProvider>
  );
}

function Layout() {
  const t = useT();
  const go = useNavigate();
  const at = useLocation();
  const { operator, project } = useWho();
  const { mode, since } = useLive();
  const { clock } = useFormat();
  const { trail } = usePageTrail();
  const { panel } = usePanelContent();
  const wide = useMedia('(min-width: 1000px)');
  const [open, setOpen] = useState(wide);
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const busy = useIsFetching() > 0;
  const content = useRef<HTMLDivElement>(null);

  useShortcuts({ palette: () => setPalette(true), help: () => setHelp(true) });
  useEffect(() => setOpen(wide), [wide]);

  useEffect(straighten, []);

  // A new page begins at its heading, for readers of screens as well.
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    window.scrollTo(0, 0);
    content.current?.focus({ preventScroll: true });
  }, [at.pathname]);

  const follow = (event: { preventDefault: () => void; detail: { href?: string; external?: boolean } }) => {
    const href = event.detail.href;
    if (!href?.startsWith(base) || event.detail.external) return;
    event.preventDefault();
    if (!wide) setOpen(false);
    void go(href.slice(base.length) || '/');
  };
  const section = '/' + (at.pathname.split('/').slice(1, at.pathname.startsWith('/admin') ? 3 : 2).join('/') ?? '');

  return (
    <>
      <a className="skip" href="#content" onClick={(e) => (e.preventDefault(), content.current?.focus())}>{t('app.skip')}</a>
      <div id="top">
        <TopBar onPalette={() => setPalette(true)} onHelp={() => setHelp(true)} />
        <div className={busy ? 'busy on' : 'busy'} aria-hidden="true" />
      </div>
      <AppLayout
        headerSelector="#top"
        toolsHide
        navigationOpen={open}
        onNavigationChange={(e) => setOpen(e.detail.open)}
        navigationWidth={236}
        navigation={<SideNavigation activeHref={base + section} items={navigation(t, operator)} onFollow={follow} />}
        breadcrumbs={
          trail.length > 1 ? <BreadcrumbGroup ariaLabel={t('nav.breadcrumbs')} items={trail.map((c) => ({ text: c.text, href: base + c.path }))} onFollow={follow} /> : undefined
        }
        notifications={
          <FlashList first={mode === 'stale' || (mode === 'reconnecting' && since !== null)
            ? { id: 'link', type: 'warning', content: t('live.lost', { at: clock(since ?? Date.now()) }), ariaRole: 'status' }
            : undefined}
          />
        }
        ariaLabels={{ navigation: t('nav.label'), navigationToggle: t('nav.open'), navigationClose: t('nav.close'), notifications: t('nav.notifications') }}
        splitPanel={panel}
        splitPanelOpen={panel !== null}
        content={
          <div id="content" ref={content} tabIndex={-1} className="content">
            <Crash key={at.pathname + project.id} title={t('state.crash')} text={t('state.crashtext')} reload={t('state.reload')}>
              <Suspense fallback={<Skeleton />}>
                <Outlet key={project.id} />
              </Suspense>
            </Crash>
          </div>
        }
      />
      {palette && <Palette onClose={() => setPalette(false)} onHelp={() => setHelp(true)} />}
      {help && <ShortcutHelp onClose={() => setHelp(false)} />}
      <SessionEnd />
    </>
  );
}

// Cloudscape gives the navigation of narrow windows an aria-orientation, which a nav cannot have.
function straighten() {
  const mend = () => document.querySelectorAll('nav[aria-orientation]').forEach((nav) => nav.removeAttribute('aria-orientation'));
  const watch = new MutationObserver(mend);
  watch.observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ['aria-orientation'] });
  mend();
  return () => watch.disconnect();
}
