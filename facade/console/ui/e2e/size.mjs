// Says how much a browser loads for the first route, compressed, and fails above the budget.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { start } from './front.mjs';
import { flags, session } from './world.mjs';

const dist = join(import.meta.dirname, '..', '..', 'dist');
const most = { js: 350 * 1024, css: 210 * 1024 };

const empty = { '/queues': '{"total":0,"queues":[]}', '/alarms': '{"total":0,"alarms":[]}', '/metrics': '{"from":0,"to":1,"step":10,"series":[]}', '/quotas/dms': '{"quotas":{"resources":[]}}', '/audit': '{"records":[]}' };
const front = await start({
  endpoint: 'http://127.0.0.1:1', token: '', events: true, session: session({ DMS_PROJECT_ID: '0'.repeat(32) }),
  answer: (_, url) => Object.entries(empty).filter(([path]) => url.pathname.endsWith(path)).map(([, body]) => ({ body }))[0],
});
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });
const page = await browser.newPage();
const sum = { js: 0, css: 0 };
page.on('request', (r) => {
  const name = new URL(r.url()).pathname.replace('/console/', '');
  const kind = name.split('.').pop();
  if (!(kind in sum)) return;
  const file = join(dist, name);
  sum[kind] += statSync(file + '.br', { throwIfNoEntry: false })?.size ?? statSync(file).size;
});
await page.goto(front.url + '/console/');
await page.locator('h1').first().waitFor();
await page.locator('.skeleton').first().waitFor({ state: 'detached' });
await browser.close();
await front.stop();
for (const [kind, size] of Object.entries(sum)) {
  console.log(`${kind}: ${(size / 1024).toFixed(0)} KiB of ${most[kind] / 1024} KiB, brotli`);
  if (size > most[kind]) process.exitCode = 1;
}
