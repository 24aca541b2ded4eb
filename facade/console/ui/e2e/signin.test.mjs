import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { api, flags, service, until } from './world.mjs';

// Here nothing stands before the service: it serves the console, signs people in and tells what changes.
let s;
let browser;
before(async () => {
  s = await service();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });
}, { timeout: 180_000 });
after(async () => {
  await browser?.close();
  await s?.stop();
});

test('somebody signs in, sees figures move, and signs out', { timeout: 120_000 }, async () => {
  const page = await (await browser.newContext({ viewport: { width: 1360, height: 900 }, locale: 'en' })).newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && complaints.push(`${m.type()} ${m.text()} ${m.location().url}`));
  page.on('pageerror', (e) => complaints.push(`failed ${e.message}`));
  await page.goto(s.env.DMS_ENDPOINT + '/console/queues');
  await page.getByRole('link', { name: /^Sign in/ }).or(page.getByRole('button', { name: /^Sign in/ })).first().click();
  await page.locator('input[name=username], input[type=text]').first().fill('demo');
  await page.locator('input[type=password]').fill('demo');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: /^Queues/, level: 1 }).waitFor();
  await page.getByRole('button', { name: /Live\. Pause/ }).waitFor();

  const call = api(s.env);
  const queue = (await call('/queues', { name: 'seen' })).id;
  const row = page.getByRole('row', { name: /seen/ });
  await row.waitFor();
  const group = (await call(`/queues/${queue}/groups`, { groups: [{ name: 'readers' }] })).groups[0].id;
  await call(`/queues/${queue}/messages`, { messages: Array.from({ length: 7 }, () => ({ body: 1 })) });
  const sent = Date.now();
  await until('seven messages and seven waiting', async () => ((await row.innerText()).match(/\b7\b/g) ?? []).length >= 2 || row.innerText(), 8000);
  console.log(`  shown after ${Date.now() - sent} ms`);
  const taken = await call(`/queues/${queue}/groups/${group}/messages?max_msgs=2`);
  await call(`/queues/${queue}/groups/${group}/ack`, { message: taken.map(({ handler }) => ({ handler })) });
  await until('five waiting', async () => /\b5\b/.test(await row.innerText()) || row.innerText());

  // The first look at who is signed in is refused, as it must be, and browsers complain of that.
  assert.deepEqual(complaints.filter((c) => !/401.*\/console\/session/.test(c)), []);
  await page.getByRole('button', { name: /Signed in as/ }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: /^Sign in/ }).or(page.getByRole('button', { name: /^Sign in/ })).first().waitFor();
  assert.equal((await page.context().request.get(s.env.DMS_ENDPOINT + '/console/session')).status(), 401);
});
