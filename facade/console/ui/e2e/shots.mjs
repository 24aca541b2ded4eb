// Takes pictures of pages, with the real service and something in it:
//   node e2e/shots.mjs FOLDER          those that the README shows
//   node e2e/shots.mjs FOLDER all      every page, light and dark, wide and narrow
// With "all" more words choose pages by their names, and LOCALE the language.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { settled, until, world } from './world.mjs';

const [folder = 'shots', all, ...only] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const w = await world();
try {
  const made = await furnish();
  const look = all === 'all' ? every(made) : chosen(made);
  for (const { name, path, act, ...how } of look) {
    const { page, go, close } = await w.open({ user: 'operator', height: 860, locale: process.env.LOCALE ?? 'en', ...how });
    await go(path);
    await settled(page);
    await act?.(page);
    await page.waitForTimeout(700); // charts are drawn, and focus marks fade
    const png = await page.screenshot({ fullPage: all === 'all' });
    if (all === 'all') writeFileSync(join(folder, `${name}.png`), png);
    else writeFileSync(join(folder, `${name}.webp`), await webp(png));
    await close();
  }
} finally {
  await w.stop();
}

/** webp makes a third of a picture's bytes; no page of ours may hold it, so an empty one does. */
async function webp(png) {
  const { page, close } = await w.open({ user: null });
  const text = await page.evaluate(async (data) => {
    const picture = await createImageBitmap(await (await fetch(data)).blob());
    const canvas = Object.assign(document.createElement('canvas'), { width: picture.width, height: picture.height });
    canvas.getContext('2d').drawImage(picture, 0, 0);
    return canvas.toDataURL('image/webp', 0.92);
  }, 'data:image/png;base64,' + png.toString('base64'));
  await close();
  return Buffer.from(text.slice(text.indexOf(',') + 1), 'base64');
}

// Every page, in so far as it was asked for.
function every({ orders, payments, group }) {
  const pages = {
    overview: '/', queues: '/queues', create: '/queues/create',
    ...Object.fromEntries(['monitoring', 'messages', 'test', 'groups', 'alarms', 'settings'].map((t) => [t, `/queues/${orders}?tab=${t}`])), dead: `/queues/${payments}?tab=dead`, message: `/queues/${orders}/messages/3`,
    group: `/queues/${orders}/groups/${group}`, deadletters: '/dead-letters', allalarms: '/alarms', keys: '/access-keys', usage: '/usage', audit: '/audit', api: '/api', preferences: '/settings',
    cluster: '/admin/cluster', node: '/admin/cluster/dev', projects: '/admin/projects', events: '/admin/events', missing: '/nothing',
  };
  return ['light', 'dark'].flatMap((theme) => [1360, 390].flatMap((width) => Object.entries(pages).filter(([name]) => only.length === 0 || only.includes(name)).map(([name, path]) => ({ name: `${name}-${theme}-${width}`, path, theme, width }))));
}

function chosen({ orders, payments }) {
  const consume = async (page) => {
    await page.getByText('By hand', { exact: true }).click();
    await page.getByRole('button', { name: 'Start' }).click();
    await until('two rows', async () => (await page.locator('.taken > li').count()) >= 2, 20_000);
  };
  return ['light', 'dark'].flatMap((theme) => [
    { name: `overview-${theme}`, path: '/?range=15m', theme },
    { name: `queues-${theme}`, path: '/queues', theme },
    { name: `monitoring-${theme}`, path: `/queues/${orders}?range=15m`, theme },
    { name: `message-${theme}`, path: `/queues/${orders}/messages/3`, theme },
    { name: `test-${theme}`, path: `/queues/${orders}?tab=test`, theme, height: 1120, act: consume },
    { name: `dead-${theme}`, path: `/queues/${payments}?tab=dead`, theme },
    { name: `cluster-${theme}`, path: '/admin/cluster', theme },
  ]);
}

/** furnish makes a project in which something happens, for long enough to be drawn. */
async function furnish() {
  const queue = async (name, groups, more = {}) => {
    const { id } = await w.api('/queues', { name, ...more });
    const made = groups.length > 0 ? (await w.api(`/queues/${id}/groups`, { groups: groups.map((name) => ({ name })) })).groups : [];
    return { id, groups: made.map((g) => g.id) };
  };
  const dead = { redrive_policy: 'enable', max_consume_count: 1 };
  const orders = await queue('orders', ['billing', 'shipping'], { ...dead, max_consume_count: 3, description: 'Orders of the web shop' });
  const payments = await queue('payments', ['ledger'], { ...dead, description: 'Captured payments' });
  const ledger = await queue('ledger-postings', ['bookkeeping'], { queue_mode: 'FIFO' });
  await queue('audit-export', []);
  const send = (id, messages) => w.api(`/queues/${id}/messages`, { messages });
  const take = async (id, group, status, most) => {
    const found = await w.api(`/queues/${id}/groups/${group}/messages?max_msgs=${most}`);
    if (found.length > 0 && status) await w.api(`/queues/${id}/groups/${group}/ack`, { message: found.map(({ handler }) => ({ handler, status, ...(status === 'fail' ? { reason: 'the bank does not know this account' } : {}) })) });
  };
  await w.api('/alarms', { name: 'billing-is-late', metric: 'available_messages', comparison: '>', threshold: 120, for_seconds: 0, severity: 'major', queue_id: orders.id });
  await w.api('/alarms', { name: 'dead-payments', metric: 'dead_avail_messages', comparison: '>', threshold: 0, for_seconds: 0, severity: 'minor', queue_id: payments.id });
  await w.api('/access-keys', { description: 'web shop', roles: ['producer'] });
  const order = (n) => ({ body: { order_id: 4700 + n, customer: { id: 9007199254740993n.toString(), name: 'Zoé Lefèvre' }, items: [{ sku: 'A-17', count: 1 + (n % 3) }], total: 19.9 + n }, tags: [n % 2 ? 'eu' : 'us'], attributes: { priority: n % 5 ? 'normal' : 'high' } });
  const seconds = Number(process.env.SECONDS_OF_TRAFFIC ?? (all === 'all' ? 25 : 90));
  for (let n = 0; n < seconds; n++) {
    await send(orders.id, Array.from({ length: 2 + Math.round(4 + 3 * Math.sin(n / 7)) }, (_, i) => order(10 * n + i)));
    await send(ledger.id, [{ body: { posting: n, amount: '12.50' } }]);
    await take(orders.id, orders.groups[0], 'success', 2 + Math.round(2 + 2 * Math.sin(n / 5)));
    await take(orders.id, orders.groups[1], 'success', 7);
    await take(ledger.id, ledger.groups[0], 'success', 1);
    if (n % 5 === 0) {
      await send(payments.id, [{ body: { payment: 800 + n, iban: 'FR76 3000 6000 0112 3456 7890 189', amount: 42.5 } }]);
      await take(payments.id, payments.groups[0], 'fail', 1);
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
  return { orders: orders.id, payments: payments.id, group: orders.groups[0] };
}
