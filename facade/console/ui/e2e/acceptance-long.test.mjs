// What the console has to do and what takes longer to see than "make test" should: "make e2e-console".
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { cluster } from './cluster.mjs';
import { api, furnish, launch, routes, settled, shell, signInButton, until, visit, world } from './world.mjs';

let w;
before(async () => {
  w = await world();
}, { timeout: 180_000 });
after(() => w?.stop());

const slow = { timeout: 240_000 };

test('03: what is sent elsewhere shows within 2 s without a reload, and a paused page asks for nothing in 30 s', slow, async () => {
  const { queue } = await w.queueWithGroup('moving');
  const { page, complaints, go, close } = await w.open();
  await go('/queues');
  const row = page.getByRole('row', { name: /moving/ });
  await row.waitFor();
  await page.getByRole('button', { name: /Live\. Pause/ }).waitFor();
  await page.evaluate(() => (globalThis.stayed = true));
  const cells = async () => ((await row.innerText()).match(/\d+/g) ?? []).map(Number);
  const times = [];
  for (const total of [3, 6, 9]) {
    await w.api(`/queues/${queue}/messages`, { messages: [{ body: 1 }, { body: 2 }, { body: 3 }] });
    const sent = Date.now();
    // In two places: what it keeps, and what waits for its group.
    await until(`${total} messages`, async () => (await cells()).filter((n) => n === total).length >= 2 || row.innerText(), 10_000);
    times.push(Date.now() - sent);
  }
  console.log(`  shown after ${times.join(', ')} ms`);
  assert.ok(Math.min(...times) <= 2000, `shown after ${times} ms`);
  assert.equal(await page.evaluate(() => globalThis.stayed), true);
  await page.getByRole('button', { name: /Pause live/ }).click();
  await page.getByRole('button', { name: /Paused/ }).waitFor();
  await page.waitForLoadState('networkidle');
  const asked = [];
  page.context().on('request', (r) => asked.push(r.url()));
  await w.api(`/queues/${queue}/messages`, { messages: [{ body: 4 }] });
  await page.waitForTimeout(30_000);
  assert.deepEqual(asked, []);
  assert.ok(!(await cells()).includes(10));
  await page.getByRole('button', { name: /Resume live/ }).click();
  await until('10 messages', async () => (await cells()).includes(10) || row.innerText());
  assert.deepEqual(complaints, []);
  await close();
});

test('05: a consume test takes as many as it was told, stops in between, and what nobody acknowledges comes again after the countdown', slow, async () => {
  const { queue, group } = await w.queueWithGroup('tested');
  await w.api(`/queues/${queue}/messages`, { messages: Array.from({ length: 8 }, (_, n) => ({ body: { n } })) });
  const { page, complaints, go, close } = await w.open();
  await go(`/queues/${queue}?tab=test`);
  const rows = page.locator('.taken > li');
  const many = page.getByLabel('How many').last();
  const start = page.getByRole('button', { name: 'Start' });
  await many.fill('5');
  const begun = Date.now();
  await start.click();
  await page.getByText(/next in \d s/).waitFor();
  await start.waitFor({ timeout: 40_000 });
  const took = Date.now() - begun;
  assert.equal(await rows.count(), 5);
  assert.equal(await page.locator('.taken > li[data-fate=acked]').count(), 5);
  assert.ok(took >= 4 * 3000, `5 at an interval of 3 s took ${took} ms`);
  await until('acknowledgements', async () => (await w.api(`/queues/${queue}/groups`)).groups[0].consumed_messages === 5);

  await page.getByText('Never', { exact: true }).click();
  await page.getByLabel('Time to acknowledge (s)').fill('15');
  await start.click();
  await until('one more row', async () => (await rows.count()) === 6 || rows.count());
  await page.getByRole('button', { name: 'Stop' }).click();
  await start.waitFor();
  const stopped = await rows.count();
  assert.ok(stopped < 8, `${stopped} rows after it was stopped`);
  await page.waitForTimeout(4000); // more than the interval
  assert.equal(await rows.count(), stopped);
  const countdown = page.locator('.taken meter').first();
  const left = Number(await countdown.getAttribute('value'));
  assert.ok(left > 0 && left <= 15, `${left} s left`);
  await page.locator('.taken > li[data-fate=returns]').first().waitFor({ timeout: 30_000 });

  // It comes again here: the same message, for the second time.
  const body = await page.locator('.taken > li[data-fate=returns] .cell').first().innerText();
  await page.getByText('Automatically', { exact: true }).click();
  await many.fill(String(8 - 5));
  await start.click();
  await start.waitFor({ timeout: 60_000 });
  await page.locator('.taken > li[data-fate=acked]', { hasText: 'delivery 2' }).filter({ hasText: body }).first().waitFor();
  await until('all are settled', async () => { const { groups } = await w.api(`/queues/${queue}/groups`); return groups[0].consumed_messages === 8 || groups[0]; });
  assert.equal(group, (await w.api(`/queues/${queue}/groups`)).groups[0].id);
  assert.deepEqual(complaints, []);
  await close();
});

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

let furnished;
for (const theme of ['light', 'dark']) {
  for (const width of [1360, 390]) {
    test(`06: no route has a barrier, ${theme} at ${width} px`, { timeout: 400_000 }, async () => {
      furnished ??= await furnish(w);
      const { page, complaints, go, close } = await w.open({ user: 'operator', theme, width });
      const found = [];
      const check = async (where) => {
        await page.evaluate(axe);
        const result = await page.evaluate((tags) => globalThis.axe.run(document, { runOnly: { type: 'tag', values: tags } }), rules);
        for (const v of result.violations) found.push(`${where}: ${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${n.html.slice(0, 160)} ${n.failureSummary?.split('\n')[1] ?? ''}`).join('\n    ')}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wide > 1) found.push(`${where}: the page is ${wide} px wider than the window`);
      };
      for (const route of routes(furnished)) {
        await go(route);
        await settled(page);
        await check(route);
      }
      // And what opens above pages.
      for (const [route, button] of [['/alarms', 'Create alarm'], ['/access-keys', 'Create access key'], [`/queues/${furnished.queue}?tab=dead`, 'Redrive…'], [`/queues/${furnished.queue}?tab=groups`, 'Create groups'], [`/queues/${furnished.queue}/groups/${furnished.group}`, 'Move position…'], [`/queues/${furnished.queue}?tab=settings`, 'Purge…']]) {
        await go(route);
        await settled(page);
        await page.getByRole('button', { name: button }).first().click();
        await page.getByRole('dialog').waitFor();
        await check(`${route} ${button}`);
      }
      await go('/');
      await settled(page);
      await page.keyboard.press('Control+K');
      await page.locator('.palette').waitFor();
      await check('the palette');
      await page.keyboard.press('Escape');
      await page.keyboard.press('?');
      await page.getByRole('dialog').waitFor();
      await check('the list of keys');
      await close();
      const { page: out, close: leave } = await w.open({ user: null, theme, width });
      await out.goto(w.env.DMS_ENDPOINT + '/console/');
      await signInButton(out).waitFor();
      await out.evaluate(axe);
      found.push(...(await out.evaluate((tags) => globalThis.axe.run(document, { runOnly: { type: 'tag', values: tags } }), rules)).violations.map((v) => `sign-in: ${v.id}: ${v.nodes[0].html}`));
      await leave();
      assert.deepEqual(found, []);
      assert.deepEqual(complaints, []);
    });
  }
}

test('12: curl that was copied does in a shell what the button does', slow, async () => {
  const { queue, group } = await furnish(w, 'copied');
  const { page, complaints, go, close } = await w.open();
  const copied = async (within = page) => {
    await within.getByRole('button', { name: 'Show as code' }).first().click();
    const code = page.getByRole('dialog').filter({ hasText: 'The same as code' });
    await code.getByRole('button', { name: 'Copy curl' }).click();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    await code.getByRole('button', { name: 'Close' }).first().click();
    await code.waitFor({ state: 'detached' });
    return text;
  };
  const run = async (code) => {
    const text = await shell(code, w.env);
    assert.doesNotMatch(text, /"(error_code|code)":"/, code);
    return text === '' ? undefined : JSON.parse(text);
  };
  const dialog = page.getByRole('dialog').last();
  const groups = async () => (await w.api(`/queues/${queue}/groups?include_deadletter=true`)).groups;

  await go('/queues/create');
  await page.getByLabel('Name', { exact: true }).first().fill("it-s");
  await page.getByLabel(/^Description/).first().fill("l'été $HOME `id` \\");
  await page.getByRole('tab', { name: 'curl' }).click();
  await page.getByRole('button', { name: 'Copy curl' }).click();
  const made = await run(await page.evaluate(() => navigator.clipboard.readText()));
  const shown = await w.api(`/queues/${made.id}?include_deadletter=true`);
  assert.deepEqual([shown.name, shown.description, shown.queue_mode, shown.max_consume_count], ['it-s', "l'été $HOME `id` \\", 'NORMAL', 3]);

  await visit(page, `/queues/${queue}?tab=groups`);
  await page.getByRole('button', { name: 'Create consumer group' }).or(page.getByRole('button', { name: /^Create .*group/ })).first().click();
  await dialog.locator('textarea').fill('billing');
  await run(await copied(dialog));
  assert.deepEqual((await groups()).map((g) => g.name).sort(), ['billing', 'readers']);

  await visit(page, `/queues/${queue}?tab=test`);
  await page.locator('textarea').first().fill('{"from": "a shell"}');
  await run(await copied());
  const { messages } = await w.api(`/queues/${queue}/messages?order=newest&limit=1`);
  assert.deepEqual(messages[0].body, { from: 'a shell' });

  await visit(page, `/queues/${queue}?tab=dead`);
  await page.getByRole('button', { name: 'Redrive…' }).click();
  await dialog.getByText(/1 message would be moved/).waitFor();
  await run(await copied(dialog));
  await until('no dead letters', async () => (await groups()).every((g) => g.available_deadletters === 0) || groups());

  await visit(page, `/queues/${queue}/groups/${group}`);
  await page.getByRole('button', { name: /^Move|^Reset/ }).first().click();
  await dialog.getByText('At the end').or(dialog.getByText(/end/i)).first().click();
  const moved = await run(await copied(dialog));
  assert.deepEqual([moved.to_sequence, moved.dry_run], [messages[0].sequence + 1, false]);

  await visit(page, '/alarms');
  await page.getByRole('button', { name: 'Create alarm' }).click();
  await dialog.getByLabel('Name').first().fill('by-shell');
  await run(await copied(dialog));
  assert.ok((await w.api('/alarms')).alarms.some((a) => a.name === 'by-shell'));

  await visit(page, '/access-keys');
  await page.getByRole('button', { name: 'Create access key' }).first().click();
  await dialog.getByLabel('Description').fill('by shell');
  assert.equal((await run(await copied(dialog))).description, 'by shell');

  await visit(page, `/queues/${queue}?tab=settings`);
  await page.getByRole('button', { name: 'Purge…' }).click();
  await run(await copied(dialog));
  assert.equal((await w.api(`/queues/${queue}/messages`)).messages.length, 0);

  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Delete…' }).click();
  await run(await copied(dialog));
  await assert.rejects(w.api(`/queues/${queue}`), /404/);
  assert.deepEqual(complaints.filter((c) => !/40[04]/.test(c)), []);
  await close();
});

test('10: when one of three nodes is killed it is said within 5 s, the pages go on, and the verdict is right', slow, async () => {
  const c = await cluster();
  const browser = await launch();
  try {
    const call = api(c.env);
    const queue = (await call('/queues', { name: 'orders' })).id;
    await call(`/queues/${queue}/groups`, { groups: [{ name: 'readers' }] });
    const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, locale: 'en' });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(`${c.gate.url}/console/admin/cluster`);
    await signInButton(page).click();
    await page.getByText('3 of 3 members store. One may be lost and everything goes on.').waitFor();
    await page.goto(`${c.gate.url}/console/queues`);
    const row = page.getByRole('row', { name: /orders/ });
    await row.waitFor();
    await page.getByRole('button', { name: /Live\. Pause/ }).waitFor();
    await page.evaluate(() => (globalThis.stayed = true));

    const killed = Date.now();
    await c.kill(0); // the one that the gate has sent everybody to
    await page.getByText(/The connection to the service was lost|2 of 3 members store/).first().waitFor({ timeout: 5000 });
    console.log(`  said so after ${Date.now() - killed} ms`);
    await page.getByText('2 of 3 members store. No other may be lost.').waitFor();
    console.log(`  the verdict after ${Date.now() - killed} ms`);
    await page.getByRole('button', { name: /Live\. Pause/ }).waitFor();
    await page.getByText(/The connection to the service was lost/).waitFor({ state: 'detached' });

    // The pages go on through another node: what is sent shows, a queue is created and opened.
    await until('a message is stored', async () => call(`/queues/${queue}/messages`, { messages: [{ body: 1 }] }).then(() => true, (err) => err.message), 30_000);
    await until('it shows', async () => /\b1\b/.test(await row.innerText()) || row.innerText(), 15_000);
    assert.equal(await page.evaluate(() => globalThis.stayed), true);
    await page.getByRole('link', { name: 'orders' }).click();
    await page.getByRole('heading', { name: 'orders', level: 1 }).waitFor();
    await page.getByRole('tab', { name: 'Messages' }).click();
    await page.locator('td .cell', { hasText: /^1$/ }).waitFor();
    await page.getByRole('button', { name: 'Open the cluster' }).click();
    await page.getByRole('heading', { name: 'Cluster', level: 1 }).waitFor();
    await page.getByText('2 of 3 members store. No other may be lost.').first().waitFor();
    await page.getByRole('row', { name: /n1/ }).getByText('Does not answer').waitFor();
    await context.close();
  } finally {
    await browser.close();
    await c.stop();
  }
});
