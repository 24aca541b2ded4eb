import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { world } from './world.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

let w;
let routes;
before(async () => {
  w = await world();
  const queue = (await w.api('/queues', { name: 'orders', redrive_policy: 'enable', max_consume_count: 1 })).id;
  const group = (await w.api(`/queues/${queue}/groups`, { groups: [{ name: 'billing' }] })).groups[0].id;
  await w.api(`/queues/${queue}/messages`, { messages: [{ body: { n: 1 }, tags: ['eu'] }, { body: 'text' }] });
  const [{ handler }] = await w.api(`/queues/${queue}/groups/${group}/messages?max_msgs=1`);
  await w.api(`/queues/${queue}/groups/${group}/ack`, { message: [{ handler, status: 'fail', reason: 'no' }] });
  await w.api('/alarms', { name: 'late', metric: 'available_messages', comparison: '>', threshold: 5 });
  routes = ['/', '/queues', '/queues/create', ...['monitoring', 'messages', 'test', 'groups', 'dead', 'alarms', 'settings'].map((t) => `/queues/${queue}?tab=${t}`), `/queues/${queue}/messages/2`, `/queues/${queue}/groups/${group}`,
    '/dead-letters', '/alarms', '/access-keys', '/usage', '/audit', '/api', '/settings', '/admin/projects', '/admin/events', '/nothing'];
}, { timeout: 180_000 });
after(() => w?.stop());

for (const theme of ['light', 'dark']) {
  for (const width of [1360, 390]) {
    test(`no route has a barrier, ${theme} at ${width} px`, { timeout: 300_000 }, async () => {
      const { page, complaints, go, close } = await w.open({ theme, width });
      const found = [];
      for (const route of routes) {
        await go(route);
        await page.locator('h1').first().waitFor();
        await page.locator('.busy:not(.on)').waitFor({ state: 'attached' });
        await page.locator('.skeleton').first().waitFor({ state: 'detached' });
        await page.evaluate(axe);
        const result = await page.evaluate((tags) => globalThis.axe.run(document, { runOnly: { type: 'tag', values: tags } }), rules);
        for (const v of result.violations) found.push(`${route}: ${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${n.html.slice(0, 160)} ${n.failureSummary?.split('\n')[1] ?? ''}`).join('\n    ')}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wide > 1) found.push(`${route}: the page is ${wide} px wider than the window`);
      }
      await close();
      assert.deepEqual(found, []);
      assert.deepEqual(complaints, []);
    });
  }
}
