import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { until, world } from './world.mjs';

let w;
before(async () => {
  w = await world();
}, { timeout: 180_000 });
after(() => w?.stop());

const slow = { timeout: 180_000 };

async function queueWithGroup(name, more = {}) {
  const queue = (await w.api('/queues', { name, ...more })).id;
  const group = (await w.api(`/queues/${queue}/groups`, { groups: [{ name: 'readers' }] })).groups[0].id;
  return { queue, group };
}

// The guide is there as long as there is no queue, so this comes first.
test('a first visitor sends and consumes a message through the guide in 3 clicks', slow, async () => {
  const { page, complaints, go, close } = await w.open();
  await go('/');
  await page.getByRole('button', { name: 'Create them' }).click();
  await page.getByRole('button', { name: 'Send it' }).click();
  await page.getByRole('button', { name: 'Consume it' }).click();
  await page.getByText('That was the whole life of a message').waitFor();
  assert.match(await page.locator('.code pre').last().innerText(), /"hello": "world"/);
  const { queues } = await w.api('/queues');
  const { groups } = await w.api(`/queues/${queues[0].id}/groups`);
  assert.equal(groups[0].consumed_messages, 1);
  assert.deepEqual(complaints, []);
  await close();
});

test('a queue is created with its group, and what the form says as curl does the same', slow, async () => {
  const { page, go, close } = await w.open();
  await go('/queues/create');
  await page.getByLabel('Name', { exact: true }).first().fill('by-hand');
  await page.getByRole('tab', { name: 'curl' }).click();
  const code = (await page.locator('.code pre').innerText()).replace('by-hand', 'by-shell');
  await page.getByPlaceholder('billing').fill('shipping');
  await page.getByRole('button', { name: 'Create queue' }).click();
  await page.getByRole('heading', { name: 'by-hand', level: 1 }).waitFor();
  const { stdout } = await promisify(execFile)('sh', ['-eu', '-c', code], { env: { PATH: process.env.PATH, ...w.env } });
  const made = JSON.parse(stdout);
  assert.equal(made.name, 'by-shell');
  const { queues } = await w.api('/queues?include_deadletter=true');
  const [hand, shell] = ['by-hand', 'by-shell'].map((n) => queues.find((q) => q.name === n));
  for (const q of [hand, shell]) assert.deepEqual([q.queue_mode, q.redrive_policy, q.max_consume_count], ['NORMAL', 'enable', 3]);
  assert.equal((await w.api(`/queues/${hand.id}/groups`)).groups[0].name, 'shipping');
  await close();
});

test('what is sent elsewhere shows within 2 s, and a paused page asks for nothing', slow, async () => {
  const { queue } = await queueWithGroup('moving');
  const { page, go, close } = await w.open();
  await go('/queues');
  const row = page.getByRole('row', { name: /moving/ });
  await row.waitFor();
  await page.getByRole('button', { name: /Live\. Pause/ }).waitFor();
  await w.api(`/queues/${queue}/messages`, { messages: [{ body: 1 }, { body: 2 }, { body: 3 }] });
  const sent = Date.now();
  await until('the number of messages', async () => (await row.innerText()).includes('3') || row.innerText(), 10_000);
  console.log(`  shown after ${Date.now() - sent} ms`);
  await page.getByRole('button', { name: /Pause live/ }).click();
  await page.getByRole('button', { name: /Paused/ }).waitFor();
  await page.waitForLoadState('networkidle');
  const asked = [];
  page.on('request', (r) => asked.push(r.url()));
  await w.api(`/queues/${queue}/messages`, { messages: [{ body: 4 }] });
  await page.waitForTimeout(12_000);
  assert.deepEqual(asked, []);
  await close();
});

test('looking at messages a hundred times changes nothing', slow, async () => {
  const { queue, group } = await queueWithGroup('looked-at', { redrive_policy: 'enable', max_consume_count: 1 });
  await w.api(`/queues/${queue}/messages`, { messages: [{ body: { n: 1 } }] });
  const state = () => w.api(`/queues/${queue}/groups?include_deadletter=true`);
  const before = await state();
  const { page, go, close } = await w.open();
  await go(`/queues/${queue}?tab=messages`);
  await page.getByRole('row', { name: /"n":1/ }).waitFor();
  await page.evaluate(async (path) => {
    for (let i = 0; i < 100; i++) await (await fetch(path)).text();
  }, `/v2/${w.env.DMS_PROJECT_ID}/queues/${queue}/messages`);
  assert.deepEqual(await state(), before);
  const [{ meta }] = await w.api(`/queues/${queue}/groups/${group}/messages?include=meta`);
  assert.equal(meta.delivery_count, 1);
  await close();
});

test('a consume test takes exactly as many as it was told, and what is not acknowledged comes again', slow, async () => {
  const { queue, group } = await queueWithGroup('tested');
  await w.api(`/queues/${queue}/messages`, { messages: Array.from({ length: 7 }, (_, n) => ({ body: { n } })) });
  const { page, go, close } = await w.open();
  await go(`/queues/${queue}?tab=test`);
  await page.getByLabel('How many').last().fill('2');
  await page.getByRole('button', { name: 'Start' }).click();
  await page.getByRole('button', { name: 'Start' }).waitFor({ timeout: 20_000 });
  assert.equal(await page.locator('.taken > li').count(), 2);
  assert.equal(await page.locator('.taken > li[data-fate=acked]').count(), 2);
  await until('acknowledgements', async () => (await w.api(`/queues/${queue}/groups`)).groups[0].consumed_messages === 2);

  await page.getByText('Never', { exact: true }).click();
  await page.getByLabel('Time to acknowledge (s)').fill('15');
  await page.getByLabel('How many').last().fill('5');
  await page.getByRole('button', { name: 'Start' }).click();
  await until('one more row', async () => (await page.locator('.taken > li').count()) >= 3 || 'no');
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Start' }).waitFor();
  const rows = await page.locator('.taken > li').count();
  assert.ok(rows < 7, `${rows} rows after stop`);
  assert.ok((await page.locator('.taken meter').count()) >= 1);
  await page.locator('.taken > li[data-fate=returns]').first().waitFor({ timeout: 30_000 });
  await until('it is delivered again', async () => (await w.api(`/queues/${queue}/groups/${group}/messages?include=meta&time_wait=5`)).some((d) => d.meta.delivery_count === 2) || 'no', 40_000);
  await close();
});

test('bodies full of markup, control characters and digits are shown as they are, and 512 KB at once', slow, async () => {
  const { queue } = await queueWithGroup('bodies');
  const bodies = ['"<script>window.harmed = true</script><img src=x onerror=window.harmed=true>"', '{"n":9007199254740993,"s":"a\\u0000\\u001b[31m\\u202eb"}', `{"big":"${'x'.repeat(500 * 1024)}"}`];
  for (const body of bodies) await w.api(`/queues/${queue}/messages`, `{"messages":[{"body":${body}}]}`);
  const { page, complaints, go, close } = await w.open();
  const shown = () => page.locator('pre.body').innerText();
  await go(`/queues/${queue}/messages/1`);
  await page.locator('pre.body').waitFor();
  assert.match(await shown(), /<script>window\.harmed = true<\/script>/);
  await go(`/queues/${queue}/messages/2`);
  await page.locator('pre.body').waitFor();
  assert.match(await shown(), /"n": 9007199254740993/);
  await page.getByRole('tab', { name: 'Tree' }).click();
  assert.match(await page.locator('.tree').innerText(), /9007199254740993/);
  assert.deepEqual(await page.locator('.tree .named').allInnerTexts(), ['NUL', 'ESC', 'RLO']);
  await page.getByRole('tab', { name: 'Raw' }).click();
  assert.equal(await shown(), bodies[1]);
  await page.getByRole('tab', { name: 'Hex' }).click();
  assert.match(await page.locator('.hex').innerText(), /7b 22 6e 22 3a 39 30/);
  await go(`/queues/${queue}/messages/3`);
  await page.locator('pre.body').waitFor();
  const start = await page.evaluate(() => performance.now());
  await page.getByRole('button', { name: /Show all/ }).click();
  await until('all of it', async () => (await page.locator('pre.body').evaluate((e) => e.textContent.length)) > 500 * 1024 || 'a part');
  console.log(`  500 KB after ${Math.round((await page.evaluate(() => performance.now())) - start)} ms`);
  assert.equal(await page.evaluate(() => globalThis.harmed), undefined);
  assert.deepEqual(complaints, []);
  await close();
});

test('dead letters are redriven after a dry run', slow, async () => {
  const { queue, group } = await queueWithGroup('dying', { redrive_policy: 'enable', max_consume_count: 1 });
  await w.api(`/queues/${queue}/messages`, { messages: [{ body: { n: 1 } }, { body: { n: 2 } }] });
  for (const { handler } of await w.api(`/queues/${queue}/groups/${group}/messages?max_msgs=2`)) await w.api(`/queues/${queue}/groups/${group}/ack`, { message: [{ handler, status: 'fail', reason: 'no such account' }] }).catch(() => undefined);
  await until('dead letters', async () => (await w.api(`/queues/${queue}/groups?include_deadletter=true`)).groups[0].available_deadletters >= 1);
  const { page, go, close } = await w.open();
  await go(`/queues/${queue}?tab=dead`);
  await page.getByText('no such account').first().waitFor();
  await page.getByRole('button', { name: 'Redrive…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText(/messages? would be moved/).waitFor();
  await dialog.getByRole('button', { name: 'Redrive' }).click();
  await page.getByText('Redriven to the group').first().waitFor();
  await until('no dead letters', async () => (await w.api(`/queues/${queue}/groups?include_deadletter=true`)).groups[0].available_deadletters === 0);
  await page.getByText('No dead letters').waitFor();
  await close();
});

test('queues are deleted together, with what became of each', slow, async () => {
  const ids = [];
  for (const name of ['gone-1', 'gone-2', 'gone-3']) ids.push((await w.api('/queues', { name })).id);
  const { page, go, close } = await w.open();
  await go('/queues?find=gone-');
  for (const n of [1, 2, 3]) await page.getByRole('checkbox', { name: `Select gone-${n}` }).check({ force: true });
  await page.getByRole('button', { name: 'Delete 3 queues' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('To confirm, type 3').fill('3');
  await w.api(`/queues/${ids[1]}`, undefined, 'DELETE');
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
  await dialog.getByText('The queue does not exist').first().waitFor();
  assert.equal(await dialog.getByText('Deleted', { exact: true }).count(), 2);
  await close();
});

test('ten thousand queues are listed, filtered and paged at once', slow, async () => {
  const queue = (i) => ({ id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`, name: `queue-${String(i).padStart(5, '0')}`, description: null, queue_mode: 'NORMAL', reservation: 4320, created: 1_769_860_800_000 + i * 1000, eff_date: 1_769_860_800_000, max_msg_size_byte: 524_288, produced_messages: i, group_count: 1, redrive_policy: 'disable' });
  const body = JSON.stringify({ total: 10_000, queues: Array.from({ length: 10_000 }, (_, i) => queue(i)) });
  const { page, go, close } = await w.open();
  let answered = 0;
  await page.route(/\/v2\/[^/]+\/queues\?/, async (route) => {
    await route.fulfill({ body, contentType: 'application/json' });
    answered ||= Date.now();
  });
  await go('/queues');
  await page.getByRole('link', { name: 'queue-09999' }).waitFor();
  const first = Date.now() - answered;
  assert.ok((await page.getByRole('row').count()) <= 201);
  const field = page.getByPlaceholder('Find queues by name, type or state');
  const start = Date.now();
  await field.fill('04711');
  await page.getByText('1 match', { exact: true }).first().waitFor();
  console.log(`  first rows ${first} ms after the answer, filtered after ${Date.now() - start} ms`);
  await page.getByRole('link', { name: 'queue-04711' }).waitFor();
  await close();
});

test('a node that cannot be reached shows within 5 s, and the page goes on by itself', slow, async () => {
  const { page, go, close } = await w.open();
  await go('/queues');
  await page.getByRole('button', { name: /Live\. Pause/ }).waitFor();
  w.front.state.down = true;
  w.front.cut();
  const start = Date.now();
  await page.getByText(/The connection to the service was lost/).waitFor({ timeout: 5000 });
  console.log(`  said so after ${Date.now() - start} ms`);
  w.front.state.down = false;
  await page.getByRole('button', { name: /Live\. Pause/ }).waitFor();
  await page.getByText(/The connection to the service was lost/).waitFor({ state: 'detached' });
  await close();
});

test('a session that ends is said in words, and the page keeps what was typed', slow, async () => {
  const { queue } = await queueWithGroup('kept');
  const { page, go, close } = await w.open();
  await go(`/queues/${queue}?tab=test`);
  const body = page.locator('textarea').first();
  await body.fill('{"typed": "with care"}');
  const was = w.front.state.session;
  w.front.state.session = null;
  try {
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByRole('dialog').getByText('Your session has ended').waitFor();
  } finally {
    w.front.state.session = was;
  }
  await page.getByRole('button', { name: 'I have signed in' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await body.inputValue(), '{"typed": "with care"}');
  await close();
});

test('a queue of another project and one that never was give the same page', slow, async () => {
  const foreign = (await w.api('/queues', { name: 'theirs' }, 'POST', w.env.DMS_PROJECT2_ID, w.env.DMS_TOKEN2)).id;
  const { page, go, close } = await w.open();
  const seen = [];
  for (const id of [foreign, '00000000-0000-4000-8000-000000000000']) {
    await go(`/queues/${id}`);
    await page.getByRole('heading', { name: 'There is nothing here', level: 1 }).waitFor();
    seen.push(await page.locator('#content').innerText());
  }
  assert.equal(seen[0], seen[1]);
  await close();
});

test('in French no key and no English sentence shows, and numbers are French', slow, async () => {
  const { queue, group } = await queueWithGroup('en-francais');
  await w.api(`/queues/${queue}/messages`, { messages: [{ body: 1 }] });
  const { page, go, close } = await w.open({ locale: 'fr' });
  const english = /\b(Queues|Waiting|Oldest|Consumer group|Dead letters|Create|Delete|Settings|Access keys|Usage|Overview|Sign out|Refresh|Messages are|The queue)\b/;
  for (const route of ['/', '/queues', '/queues/create', `/queues/${queue}`, `/queues/${queue}?tab=test`, `/queues/${queue}?tab=settings`, `/queues/${queue}/groups/${group}`, '/alarms', '/access-keys', '/usage', '/audit', '/settings']) {
    await go(route);
    await page.locator('h1').first().waitFor();
    await page.locator('.skeleton').first().waitFor({ state: 'detached' });
    const text = await page.locator('body').innerText();
    assert.doesNotMatch(text, /\b(nav|queues|state|action|viewer|peek|chart|overview)\.[a-z]+\b/, route);
    assert.doesNotMatch(text, english, route);
  }
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'fr');
  await close();
});

test('a queue is created, filled, read and deleted with the keyboard alone', slow, async () => {
  const { page, go, close } = await w.open();
  await go('/queues');
  await page.locator('h1').first().waitFor();
  const type = (text) => page.keyboard.type(text);
  const press = (key) => page.keyboard.press(key);
  const tabTo = async (role, name, most = 80) => {
    for (let i = 0; i < most; i++) {
      const at = await page.evaluate(() => ({ role: document.activeElement?.getAttribute('role') ?? document.activeElement?.tagName.toLowerCase(), name: document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent || document.activeElement?.id }));
      if (at.role === role && name.test(at.name ?? '')) return;
      await press('Tab');
    }
    throw new Error(`no ${role} ${name} to be reached with Tab`);
  };
  await press('c');
  await page.getByRole('heading', { name: 'Create queue', level: 1 }).waitFor();
  await page.getByLabel('Name', { exact: true }).first().focus();
  await press('Control+A');
  await type('by-keys');
  await press('Enter');
  await page.getByRole('heading', { name: 'by-keys', level: 1 }).waitFor();
  await tabTo('button', /Send and consume/);
  await press('Enter');
  await page.locator('textarea').first().waitFor();
  await tabTo('button', /^Send$/);
  await press('Enter');
  await page.getByText(/1 message is on disk/).waitFor();
  await press('Control+K');
  await page.locator('.palette input').waitFor();
  await type('queues');
  await press('Enter');
  await page.getByRole('heading', { name: /^Queues/, level: 1 }).waitFor();
  await page.getByRole('row', { name: /by-keys/ }).waitFor();
  await close();
});
