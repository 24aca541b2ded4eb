// What the console has to do, a test for each, in so far as it is quick. "make test" runs these; those
// that take longer are in acceptance-long.test.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { english, sentences, wordsOf } from './catalogue.mjs';
import { fillIn, furnish, routes, settled, signInButton, until, visit, world } from './world.mjs';

let w;
before(async () => {
  w = await world();
}, { timeout: 180_000 });
after(() => w?.stop());

const slow = { timeout: 180_000 };
const best = (list) => Math.round(Math.min(...list));

// The guide is there as long as there is no queue, so this comes first.
test('01: from the first visit to the first message consumed, in 60 s and 8 clicks', slow, async () => {
  const { page, close } = await w.open({ user: null });
  let clicks = 0;
  await page.exposeFunction('noteClick', () => clicks++);
  await page.addInitScript(() => addEventListener('click', (e) => e.isTrusted && e.detail > 0 && globalThis.noteClick(), true));
  const start = Date.now();
  await page.goto(w.env.DMS_ENDPOINT);
  await signInButton(page).click();
  await fillIn(page, 'demo');
  await page.getByRole('button', { name: 'Create them' }).click();
  await page.getByRole('button', { name: 'Send it' }).click();
  await page.getByRole('button', { name: 'Consume it' }).click();
  await page.getByText('That was the whole life of a message').waitFor();
  const seconds = (Date.now() - start) / 1000;
  assert.match(await page.locator('.code pre').last().textContent(), /"hello": "world"/);
  const { queues } = await w.api('/queues');
  assert.equal((await w.api(`/queues/${queues[0].id}/groups`)).groups[0].consumed_messages, 1);
  console.log(`  ${seconds.toFixed(1)} s and ${clicks} clicks`);
  assert.ok(clicks >= 4 && clicks <= 8, `${clicks} clicks`);
  assert.ok(seconds <= 60, `${seconds} s`);
  await close();
});

// The best of some tries is what the console can do; what a busy machine adds is not its own.
test('02: of 10,000 queues the first rows show within 500 ms, a filter within 200 ms, and no more than 200 rows are there', slow, async () => {
  const { queues: [real] } = await w.api('/queues?include_deadletter=true');
  const queues = Array.from({ length: 10_000 }, (_, i) => ({ ...real, id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`, name: `queue-${String(i).padStart(5, '0')}`, created: real.created + i, produced_messages: i }));
  const body = JSON.stringify({ total: queues.length, queues });
  const { page, complaints, go, close } = await w.open();
  await page.route(/\/v2\/[^/]+\/queues\?/, (route) => route.fulfill({ body, contentType: 'application/json' }));
  await page.addInitScript(() => {
    const look = () => document.querySelector('tbody a[href*="/console/queues/"]') ? (globalThis.firstRows = performance.now()) : requestAnimationFrame(look);
    look();
  });
  const loads = [];
  for (let i = 0; i < 2; i++) {
    await go('/queues');
    await page.waitForFunction(() => globalThis.firstRows);
    loads.push(await page.evaluate(() => globalThis.firstRows - performance.getEntriesByType('resource').find((r) => /\/queues\?/.test(r.name)).responseEnd));
  }
  await page.getByRole('link', { name: 'queue-09999' }).waitFor();
  const filters = [];
  for (const [text, rows] of [['queue-04711', 1], ['queue-0123', 10], ['queue-09998', 1], ['queue-077', 50], ['queue-00042', 1]]) {
    filters.push(await page.evaluate(async ([wanted, many]) => {
      const field = document.querySelector('[data-filter] input');
      const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
      const start = performance.now();
      set.call(field, wanted);
      field.dispatchEvent(new Event('input', { bubbles: true }));
      for (;;) {
        const names = [...document.querySelectorAll('tbody a[href*="/console/queues/"]')].map((a) => a.textContent);
        if (names.length === many && names.every((n) => n.includes(wanted))) return performance.now() - start;
        if (performance.now() - start > 10_000) throw new Error(`${wanted}: ${names.length} rows after 10 s`);
        await new Promise(requestAnimationFrame);
      }
    }, [text, rows]));
  }
  console.log(`  first rows ${best(loads)} ms after the answer, filtered in ${best(filters)} ms`);
  assert.ok(best(loads) < 500, `first rows after ${loads}`);
  assert.ok(best(filters) < 200, `filtered in ${filters}`);
  await page.getByPlaceholder('Find queues by name, type or state').fill('');
  await page.evaluate(() => localStorage.setItem('dms.preferences', JSON.stringify({ ...JSON.parse(localStorage.getItem('dms.preferences')), pageSize: 200 })));
  await go('/queues');
  await until('200 rows', async () => (await page.locator('tbody tr').count()) === 200 || page.locator('tbody tr').count());
  assert.deepEqual(complaints, []);
  await close();
});

test('04: looking at messages a thousand times changes nothing', slow, async () => {
  const { queue, group } = await w.queueWithGroup('looked-at', { redrive_policy: 'enable', max_consume_count: 2 });
  await w.api(`/queues/${queue}/messages`, { messages: Array.from({ length: 3 }, (_, n) => ({ body: { n }, tags: ['eu'] })) });
  // One has failed once, one is a dead letter, one nobody has seen.
  for (const times of [2, 1]) {
    for (let i = 0; i < times; i++) {
      const [{ handler }] = await w.api(`/queues/${queue}/groups/${group}/messages?max_msgs=1&time_wait=5`);
      await w.api(`/queues/${queue}/groups/${group}/ack`, { message: [{ handler, status: 'fail' }] });
    }
  }
  const state = async () => ({
    groups: await w.api(`/queues/${queue}/groups?include_deadletter=true`),
    messages: await Promise.all([1, 2, 3].map((n) => w.api(`/queues/${queue}/messages/${n}`))),
    dead: await w.api(`/queues/${queue}/messages?source=dead_letters`),
  });
  await until('one dead letter', async () => { const { groups } = await w.api(`/queues/${queue}/groups?include_deadletter=true`); return groups[0].available_deadletters === 1 || groups[0]; });
  const before = await state();
  const fresh = await w.queueWithGroup('looked-at-2');
  await w.api(`/queues/${fresh.queue}/messages`, { messages: [{ body: 1 }] });
  const { page, complaints, go, close } = await w.open();
  await go(`/queues/${queue}?tab=messages`);
  await page.getByRole('row', { name: /"n":2/ }).click();
  await page.getByRole('tab', { name: 'History' }).click();
  await page.getByRole('table', { name: 'History' }).getByText('readers').waitFor();
  const own = [fresh.queue, queue].map((q) => `/${q}/messages`);
  const looks = [own[0], `${own[0]}/1`, ...['', '?order=oldest', `?source=backlog&group_id=${group}`, `?source=in_flight&group_id=${group}`, '?source=dead_letters', '?source=delayed', '?label=eu', '?text=2', '/1', '/3'].map((p) => own[1] + p)];
  const bad = await page.evaluate(async ([root, paths]) => {
    const wrong = [];
    const worker = async (from) => {
      for (let i = from; i < 1000; i += 4) {
        const answer = await fetch(root + paths[i % paths.length]);
        await answer.text();
        if (!answer.ok) wrong.push(`${paths[i % paths.length]}: ${answer.status}`);
      }
    };
    await Promise.all([0, 1, 2, 3].map(worker));
    return wrong;
  }, [`/v2/${w.env.DMS_PROJECT_ID}/queues`, looks]);
  assert.deepEqual(bad, []);
  assert.deepEqual(await state(), before);
  // Deliveries are counted where nobody has consumed yet.
  const taken = await w.api(`/queues/${fresh.queue}/groups/${fresh.group}/messages?include=meta`);
  assert.deepEqual(taken.map((d) => d.meta.delivery_count), [1]);
  assert.deepEqual(complaints, []);
  await close();
});

test('07: a queue is created, filled, read, redriven and deleted with the keyboard alone', slow, async () => {
  const { page, go, close } = await w.open();
  await go('/');
  await settled(page);
  await page.exposeFunction('notePointer', () => assert.fail('a pointer was used'));
  await page.evaluate(() => addEventListener('pointerdown', () => globalThis.notePointer(), true));
  const press = (key) => page.keyboard.press(key);
  const type = (text) => page.keyboard.type(text);
  const here = () => page.evaluate(() => {
    const at = document.activeElement;
    return { role: at?.getAttribute('role') ?? at?.tagName.toLowerCase(), name: (at?.getAttribute('aria-label') || at?.labels?.[0]?.textContent || at?.textContent || '').trim() };
  });
  const tabTo = async (role, name, key = 'Tab') => {
    const seen = [];
    for (let i = 0; i < 120; i++) {
      const at = await here();
      if (at.role === role && name.test(at.name)) return;
      seen.push(`${at.role} ${at.name.slice(0, 30)}`);
      await press(key);
    }
    throw new Error(`no ${role} ${name} to be reached with ${key}; seen: ${seen.slice(-40).join(' | ')}`);
  };
  const fill = async (name, text) => {
    await tabTo('input', name);
    await press('Control+A');
    await type(text);
  };
  const openTab = async (name) => {
    await tabTo('tab', /./, 'Shift+Tab');
    await tabTo('tab', name, 'ArrowRight');
    await press('Enter');
  };
  await press('c');
  await page.getByRole('heading', { name: 'Create queue', level: 1 }).waitFor();
  await fill(/^Name/, 'by-keys');
  await fill(/Deliveries before/, '1');
  await fill(/^Name – optional/, 'readers');
  await press('Enter');
  await page.getByRole('heading', { name: 'by-keys', level: 1 }).waitFor();
  await tabTo('button', /Send and consume/);
  await press('Enter');
  await page.locator('textarea').first().waitFor();
  await tabTo('button', /^Send$/);
  await press('Enter');
  await page.getByText(/1 message is on disk/).waitFor();
  await fill(/How many/, '1');
  await tabTo('button', /^Automatically/);
  await press('ArrowRight');
  await press('Enter');
  await tabTo('button', /^Start$/);
  await press('Enter');
  await page.locator('.taken > li[data-fate=held]').waitFor();
  await tabTo('button', /^Fail/);
  await press('Enter');
  await page.locator('.taken > li[data-fate=failed]').waitFor();
  const { id: queue } = (await w.api('/queues')).queues.find((q) => q.name === 'by-keys');
  const dead = async () => (await w.api(`/queues/${queue}/groups?include_deadletter=true`)).groups[0].available_deadletters;
  await until('a dead letter', async () => (await dead()) === 1 || dead());
  await openTab(/^Dead letters/);
  await page.getByRole('heading', { name: /^Dead letters/, level: 2 }).waitFor();
  await page.getByRole('row', { name: /order_id/ }).waitFor();
  await tabTo('button', /^Redrive…/);
  await press('Enter');
  await page.getByRole('dialog').getByText(/1 message would be moved/).waitFor();
  await tabTo('button', /^Redrive$/);
  await press('Enter');
  await until('no dead letter', async () => (await dead()) === 0 || dead());
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByText('No dead letters').waitFor();
  await openTab(/^Settings/);
  await page.getByText('Delete this queue').waitFor();
  await tabTo('button', /^Delete…/);
  await press('Enter');
  await page.getByRole('dialog').waitFor();
  await fill(/To confirm, type/, 'by-keys');
  await tabTo('button', /^Delete$/);
  await press('Enter');
  await page.getByRole('heading', { name: /^Queues/, level: 1 }).waitFor();
  await until('the queue is gone', async () => (await w.api('/queues')).queues.every((q) => q.name !== 'by-keys') || 'there');
  await close();
});

test('08: in French no key shows, no English word of ours, and numbers are French', slow, async () => {
  const { queue, group } = await furnish(w, 'en-francais');
  for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 10 }, () => w.api(`/queues/${queue}/messages`, { messages: Array.from({ length: 10 }, () => ({ body: 1 })) })));
  const { page, complaints, go, close } = await w.open({ user: 'operator', locale: 'fr' });
  const keys = new Set(sentences.map((s) => s.key));
  // What is written the same in both is no slip, and neither is what people or programs have named.
  const ours = new Set(['demo', 'other', 'orders', 'late', 'operator', 'manager', 'first', 'readers', 'bodies', 'looked', 'keys', 'demo']);
  const whole = sentences.filter((s) => s.en !== s.fr && !s.en.includes('{') && s.en.length > 12).map((s) => s.en);
  await go('/');
  for (const route of routes({ queue, group })) {
    await visit(page, route);
    const text = await page.evaluate(() => {
      const leave = '[lang=en], code, pre, kbd, textarea, .cell, .hex, script, noscript, style';
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const parts = [];
      while (walker.nextNode()) if (!walker.currentNode.parentElement.closest(leave)) parts.push(walker.currentNode.data);
      for (const e of document.querySelectorAll('[aria-label], [title], [placeholder], img[alt]')) if (!e.closest(leave)) parts.push(...['aria-label', 'title', 'placeholder', 'alt'].map((n) => e.getAttribute(n) ?? ''));
      return parts.join('\n');
    });
    const raw = (text.match(/\b[a-z0-9]+\.[A-Za-z0-9_]+\b/g) ?? []).filter((k) => keys.has(k));
    assert.deepEqual(raw, [], route);
    assert.deepEqual(whole.filter((s) => text.includes(s)), [], route);
    assert.deepEqual([...new Set(wordsOf(text))].filter((word) => english.has(word) && !ours.has(word)), [], route);
  }
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'fr');
  await visit(page, '/queues');
  await page.getByRole('row', { name: /en-francais/ }).getByText('1\u202f002', { exact: true }).first().waitFor();
  assert.deepEqual(complaints, []);
  await close();
});

test('09: the policy is strict, and no route complains', slow, async () => {
  const made = await furnish(w, 'quiet');
  const { page, complaints, go, close } = await w.open({ user: 'operator' });
  const elsewhere = [];
  page.on('request', (r) => new URL(r.url()).origin !== w.gate.url && !/^(data|blob):/.test(r.url()) && elsewhere.push(r.url()));
  await go('/');
  for (const route of routes(made)) {
    const policy = (await page.request.get(`${w.gate.url}/console${route}`)).headers()['content-security-policy'] ?? '';
    assert.match(policy, /default-src 'none'/, route);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/, route);
    await visit(page, route);
    assert.deepEqual(complaints, [], route);
  }
  assert.deepEqual(elsewhere, []);
  await close();
});

test('11: markup, 512 KB, bytes that are no UTF-8, control characters and long numbers are shown as they are', slow, async () => {
  const { queue } = await w.queueWithGroup('bodies');
  const bodies = ['"<script>window.harmed = true</script><img src=x onerror=window.harmed=true>"', '{"n":9007199254740993,"s":"a\\u0000\\u001b[31m\\u202eb","half":"\\ud800"}', `{"big":"${'x'.repeat(511 * 1024)}"}`];
  for (const body of bodies) await w.api(`/queues/${queue}/messages`, `{"messages":[{"body":${body}}]}`);
  const { page, complaints, go, close } = await w.open();
  // Not innerText: the browser leaves out of it what it has not laid out yet.
  const body = page.locator('pre.body');
  const shown = async (want) => until('the body', async () => (await body.count()) === 1 && (want instanceof RegExp ? want.test(await body.textContent()) : (await body.textContent()) === want) || (await body.allTextContents())[0]?.slice(0, 200));
  await go(`/queues/${queue}/messages/1`);
  await shown(bodies[0]);
  await page.getByRole('tab', { name: 'Tree' }).click();
  await page.locator('.tree').getByText('<script>window.harmed = true</script>').waitFor();
  await visit(page, '/settings');
  await visit(page, `/queues/${queue}/messages/2`);
  await shown(/"n": 9007199254740993/);
  await page.getByRole('tab', { name: 'Tree' }).click();
  await page.locator('.tree').getByText('9007199254740993').waitFor();
  assert.deepEqual(await page.locator('.tree .named').allTextContents(), ['NUL', 'ESC', 'RLO', 'U+D800']);
  await page.getByRole('tab', { name: 'Raw' }).click();
  await shown(bodies[1]);
  await page.getByRole('tab', { name: 'Hex' }).click();
  await page.locator('.hex').getByText('7b 22 6e 22 3a 39 30').waitFor();
  const times = [];
  for (let i = 0; i < 3; i++) {
    await visit(page, '/settings');
    await visit(page, `/queues/${queue}/messages/3`);
    await body.waitFor();
    times.push(await page.evaluate(async () => {
      const button = [...document.querySelectorAll('button')].find((b) => /Show all/.test(b.textContent));
      const start = performance.now();
      button.click();
      while (document.querySelector('pre.body').textContent.length <= 511 * 1024) await new Promise(requestAnimationFrame);
      return performance.now() - start;
    }));
  }
  console.log(`  512 KB in ${best(times)} ms`);
  assert.ok(best(times) < 200, `${times}`);
  await shown(/^\{\n {2}"big": "x{523264}"\n\}$/);
  assert.equal(await page.evaluate(() => globalThis.harmed), undefined);

  // The service takes no bytes that are no UTF-8, and the console does not pass others off as them.
  const bytes = Buffer.from([0x22, 0xff, 0xfe, 0x22]);
  const refused = await fetch(`${w.env.DMS_ENDPOINT}/v2/${w.env.DMS_PROJECT_ID}/queues/${queue}/messages`, { method: 'POST', headers: { 'X-Auth-Token': w.env.DMS_TOKEN, 'Content-Type': 'application/json' }, body: Buffer.concat([Buffer.from('{"messages":[{"body":'), bytes, Buffer.from('}]}')]) });
  assert.equal(refused.status, 400);
  await visit(page, `/queues/${queue}?tab=test`);
  const field = page.locator('textarea').first();
  const before = await field.inputValue();
  await page.locator('input[type=file]').setInputFiles({ name: 'latin.json', mimeType: 'application/json', buffer: bytes });
  await page.getByText('The file is not UTF-8 text: byte 2 is ff.').waitFor();
  assert.equal(await field.inputValue(), before);
  assert.deepEqual(complaints, []);
  await close();
});

test('13: a session that ends is said in words, and the page stays as it is', slow, async () => {
  const { queue } = await w.queueWithGroup('kept');
  const { page, close } = await w.open({ own: true });
  await page.goto(`${w.env.DMS_ENDPOINT}/console/queues/${queue}?tab=test`);
  const body = page.locator('textarea').first();
  await body.fill('{"typed": "with care"}');
  await page.context().request.delete(`${w.env.DMS_ENDPOINT}/console/session`);
  // Figures that are asked for may find out first, and then the button is behind the words.
  await page.getByRole('button', { name: 'Send', exact: true }).evaluate((b) => b.click());
  const dialog = page.getByRole('dialog').filter({ hasText: 'Your session has ended' });
  await dialog.getByText('everything on this page stays as it is').waitFor();
  await dialog.getByRole('button', { name: 'I have signed in' }).click();
  await dialog.getByText('Nobody is signed in yet.').waitFor();
  const [second] = await Promise.all([page.context().waitForEvent('page'), dialog.getByRole('link', { name: /Sign in again/ }).or(dialog.getByRole('button', { name: /Sign in again/ })).first().click()]);
  await fillIn(second, 'demo');
  await second.getByRole('heading', { name: 'kept', level: 1 }).waitFor();
  await second.close();
  await dialog.getByRole('button', { name: 'I have signed in' }).click();
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await body.inputValue(), '{"typed": "with care"}');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByText(/1 message is on disk/).waitFor();
  // Before it ends, it is said as well.
  await page.route('**/console/session', async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, json: { ...(await answer.json()), expires_at: new Date(Date.now() + 100_000).toISOString() } });
  });
  await page.reload();
  await page.getByText(/Your session ends in 1\smin/).waitFor();
  await close();
});

test('14: what belongs to another project gives the same page as what never was', slow, async () => {
  const call = (path, body) => w.api(path, body, 'POST', w.env.DMS_PROJECT2_ID, w.env.DMS_TOKEN2);
  const theirs = (await call('/queues', { name: 'theirs' })).id;
  const group = (await call(`/queues/${theirs}/groups`, { groups: [{ name: 'theirs' }] })).groups[0].id;
  await call(`/queues/${theirs}/messages`, { messages: [{ body: 'secret' }] });
  const { queue } = await w.queueWithGroup('ours');
  const never = '00000000-0000-4000-8000-000000000000';
  const { page, go, close } = await w.open();
  await go('/settings');
  const bodies = [];
  page.on('response', async (r) => r.status() === 404 && bodies.push((await r.text()).replace(/"request_id":"[^"]*"/, '')));
  for (const [foreign, missing] of [
    [`/queues/${theirs}`, `/queues/${never}`], [`/queues/${theirs}?tab=messages`, `/queues/${never}?tab=messages`], [`/queues/${theirs}/messages/1`, `/queues/${never}/messages/1`],
    [`/queues/${theirs}/groups/${group}`, `/queues/${never}/groups/g-${never}`], [`/queues/${queue}/groups/${group}`, `/queues/${queue}/groups/g-${never}`],
  ]) {
    const seen = [];
    for (const path of [foreign, missing]) {
      bodies.length = 0;
      await visit(page, path);
      await page.getByRole('heading', { name: 'There is nothing here', level: 1 }).waitFor();
      seen.push({ title: await page.title(), text: await page.locator('#content').innerText(), path: await page.locator('nav[aria-label="Path to this page"]').innerText(), answers: [...new Set(bodies)] });
      await visit(page, '/settings');
    }
    assert.deepEqual(seen[0], seen[1]);
    assert.doesNotMatch(seen[0].text, /theirs|secret/);
  }
  // It stands while it is asked for again.
  for (const path of [`/queues/${never}`, `/queues/${never}/groups/g-${never}`]) {
    await visit(page, path);
    let asked;
    const again = new Promise((resolve) => (asked = resolve));
    let answer;
    await page.route(`**/queues/${never}?*`, async (route) => {
      asked();
      await new Promise((resolve) => (answer = resolve));
      await route.continue();
    });
    await page.keyboard.press('r');
    await again;
    await page.locator('.busy.on').waitFor({ state: 'attached' });
    assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'There is nothing here');
    answer();
    await settled(page);
    await page.unroute(`**/queues/${never}?*`);
  }
  await close();
});
