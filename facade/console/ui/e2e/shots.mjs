// Takes pictures of pages: node e2e/shots.mjs FOLDER [name...], with DMS_ENDPOINT and the
// other variables of .dms/dev.env.
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { start } from './front.mjs';
import { flags, session } from './world.mjs';

const [folder = 'shots', ...only] = process.argv.slice(2);
const ids = Object.fromEntries((process.env.IDS ?? '').split(' ').filter(Boolean).map((p) => p.split('=')));
const pages = {
  overview: '/', queues: '/queues', create: '/queues/create',
  monitoring: `/queues/${ids.O}`, messages: `/queues/${ids.O}?tab=messages`, message: `/queues/${ids.O}/messages/3`, test: `/queues/${ids.O}?tab=test`,
  groups: `/queues/${ids.O}?tab=groups`, dead: `/queues/${ids.P}?tab=dead`, qalarms: `/queues/${ids.O}?tab=alarms`, qsettings: `/queues/${ids.O}?tab=settings`,
  group: `/queues/${ids.O}/groups/${ids.GB}`, deadletters: '/dead-letters', alarms: '/alarms', keys: '/access-keys', usage: '/usage', audit: '/audit', api: '/api', settings: '/settings',
  projects: '/admin/projects', events: '/admin/events', missing: '/nothing',
};
mkdirSync(folder, { recursive: true });
const front = await start({ endpoint: process.env.DMS_ENDPOINT, token: process.env.DMS_TOKEN, session: session(), events: true });
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: flags });
for (const { theme, locale, width, height } of [{ theme: process.env.THEME ?? 'light', locale: process.env.LOCALE ?? 'en', width: Number(process.env.WIDTH ?? 1360), height: Number(process.env.HEIGHT ?? 900) }]) {
  const context = await browser.newContext({ viewport: { width, height }, locale });
  await context.addInitScript(`localStorage.setItem('dms.preferences', JSON.stringify({ theme: '${theme}', locale: '${locale}' }))`);
  const page = await context.newPage();
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && console.log(m.type(), page.url(), m.text().slice(0, 300)));
  page.on('pageerror', (e) => console.log('failed', page.url(), e.message, e.stack?.slice(0, 400)));
  for (const [name, path] of Object.entries(pages)) {
    if (only.length > 0 && !only.includes(name)) continue;
    await page.goto(`${front.url}/console${path}`);
    await page.locator('h1').first().waitFor({ timeout: 10_000 }).catch(() => console.log('no heading', path));
    await page.waitForTimeout(900);
    await page.screenshot({ path: `${folder}/${name}-${theme}-${width}${locale === 'en' ? '' : '-' + locale}.png`, fullPage: process.env.FULL === '1' });
  }
}
await browser.close();
await front.stop();
