// What the console can do beside what it has to (acceptance.test.mjs, acceptance-long.test.mjs).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fillIn, settled, signInButton, until, world } from './world.mjs';

let w;
before(async () => {
  w = await world();
}, { timeout: 180_000 });
after(() => w?.stop());

const slow = { timeout: 180_000 };

test('the first route is small', slow, async () => {
  const most = { js: 350 * 1024, css: 210 * 1024 };
  const { page, go, close } = await w.open();
  const sum = { js: 0, css: 0 };
  const plain = [];
  page.on('response', async (r) => {
    const kind = new URL(r.url()).pathname.split('.').pop();
    if (!(kind in sum)) return;
    const { 'content-encoding': how, 'content-length': length } = r.headers();
    sum[kind] += Number(length);
    // Chromium speaks brotli to this machine as well, and files of some hundred bytes gain nothing.
    if (how !== 'br' && Number(length) > 1024) plain.push(r.url());
  });
  await go('/');
  await settled(page);
  for (const [kind, size] of Object.entries(sum)) {
    console.log(`  ${kind}: ${(size / 1024).toFixed(0)} KiB of ${most[kind] / 1024} KiB`);
    assert.ok(size > 0 && size <= most[kind], `${kind}: ${size} bytes`);
  }
  assert.deepEqual(plain, []);
  await close();
});

test('a queue is created with its group, and the form is code all the while', slow, async () => {
  const { page, go, close } = await w.open();
  await go('/queues/create');
  await page.getByLabel('Name', { exact: true }).first().fill('by-hand');
  for (const [tab, want] of [['JSON', '"name": "by-hand"'], ['curl', '"by-hand"'], ['Go', 'by-hand'], ['Python', 'by-hand'], ['Terraform', 'resource "opentelekomcloud_dms_queue_v1" "by-hand"']]) {
    await page.getByRole('tab', { name: tab, exact: true }).click();
    await page.locator('.code pre', { hasText: want }).waitFor();
  }
  await page.getByPlaceholder('billing').fill('shipping');
  await page.getByRole('button', { name: 'Create queue' }).click();
  await page.getByRole('heading', { name: 'by-hand', level: 1 }).waitFor();
  const { queues } = await w.api('/queues?include_deadletter=true');
  const hand = queues.find((q) => q.name === 'by-hand');
  assert.deepEqual([hand.queue_mode, hand.redrive_policy, hand.max_consume_count], ['NORMAL', 'enable', 3]);
  assert.equal((await w.api(`/queues/${hand.id}/groups`)).groups[0].name, 'shipping');
  await close();
});

test('dead letters are redriven after a dry run', slow, async () => {
  const { queue, group } = await w.queueWithGroup('dying', { redrive_policy: 'enable', max_consume_count: 1 });
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

test('two messages are compared, and a template outlives the page', slow, async () => {
  const { queue } = await w.queueWithGroup('compared');
  for (const total of [1, 2]) await w.api(`/queues/${queue}/messages`, { messages: [{ body: { id: 7, total } }] });
  const { page, complaints, go, close } = await w.open();
  await go(`/queues/${queue}/messages/2`);
  await page.getByRole('tab', { name: 'Difference' }).click();
  await page.locator('.diff del', { hasText: '"total": 1' }).waitFor();
  assert.equal(await page.locator('.diff ins').textContent(), '+   "total": 2\n');
  await page.getByRole('button', { name: 'Close' }).last().focus();
  await page.keyboard.press('y');
  await until('the body is copied', async () => (await page.evaluate(() => navigator.clipboard.readText())) === '{"id":7,"total":2}' || 'not yet');

  await go(`/queues/${queue}?tab=test`);
  const body = page.locator('textarea').first();
  await body.fill('{"kept": true}');
  await page.getByRole('button', { name: 'Templates' }).click();
  await page.getByRole('menuitem', { name: 'Save as…' }).click();
  await page.getByRole('dialog').getByLabel('Name').fill('mine');
  await page.getByRole('dialog').getByRole('button', { name: 'Save', exact: true }).click();
  await page.reload();
  assert.notEqual(await body.inputValue(), '{"kept": true}');
  await page.getByRole('button', { name: 'Templates' }).click();
  await page.getByRole('menuitem', { name: 'mine' }).first().click();
  await until('the template', async () => (await body.inputValue()) === '{"kept": true}' || body.inputValue());
  assert.deepEqual(complaints, []);
  await close();
});

test('a network that is down is said within 5 s, and the page goes on by itself', slow, async () => {
  const { page, go, close } = await w.open();
  await go('/queues');
  await page.getByRole('button', { name: /Live\. Pause/ }).waitFor();
  w.gate.shut();
  const start = Date.now();
  const lost = page.getByText(/The connection to the service was lost/);
  try {
    await lost.waitFor({ timeout: 5000 });
    console.log(`  said so after ${Date.now() - start} ms`);
    await page.getByRole('button', { name: /^Stale since/ }).waitFor();
  } finally {
    w.gate.open();
  }
  await page.getByRole('button', { name: /Live\. Pause/ }).waitFor();
  await lost.waitFor({ state: 'detached' });
  await close();
});

test('each failure of the API is a sentence with its request, and can be tried again', slow, async () => {
  const { page, go, close } = await w.open();
  let bad = true;
  await page.route(/\/v2\/[^/]+\/queues\?/, (route) => (bad ? route.fulfill({ status: 500, contentType: 'application/json', body: '{"error_code":"DMS.10250000","error_msg":"internal","request_id":"req-4711"}' }) : route.continue()));
  await go('/queues');
  const alert = page.locator('#content').getByText('The service failed. Its operator can find out why with the number of the request.');
  await alert.waitFor();
  await page.getByText('Request req-4711').waitFor();
  bad = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  await alert.waitFor({ state: 'detached' });
  const { queue } = await w.queueWithGroup('failing');
  bad = true;
  await page.route(`**/queues/${queue}?*`, (route) => (bad ? route.fulfill({ status: 500, contentType: 'application/json', body: '{"error_code":"DMS.10250000","error_msg":"internal","request_id":"req-4712"}' }) : route.continue()));
  await go(`/queues/${queue}`);
  await page.getByRole('heading', { name: 'This cannot be shown now', level: 1 }).waitFor(); // it is not said to be missing
  bad = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('heading', { name: 'failing', level: 1 }).waitFor();
  await close();
});

test('who may only look is told which right is missing', slow, async () => {
  const { queue } = await w.queueWithGroup('watched');
  const { page, complaints, go, close } = await w.open({ user: 'viewer' });
  for (const [path, want] of [['/queues/create', 'manage'], ['/access-keys', 'manage'], ['/audit', 'manage'], [`/queues/${queue}?tab=messages`, 'look at messages'], [`/queues/${queue}?tab=test`, 'consume'], ['/admin/cluster', 'operate the service']]) {
    await go(path);
    await page.getByText(`It needs the permission “${want}”, which your roles in this project (viewer) do not give.`).first().waitFor();
  }
  await go('/queues');
  assert.ok(await page.getByRole('button', { name: 'Create queue' }).isDisabled());
  assert.deepEqual(complaints, []);
  await close();
});

test('somebody signs in, and signs out', slow, async () => {
  const { page, complaints, close } = await w.open({ user: null });
  await page.goto(w.env.DMS_ENDPOINT + '/console/queues');
  await signInButton(page).click();
  await fillIn(page, 'demo');
  await page.getByRole('heading', { name: /^Queues/, level: 1 }).waitFor();
  // The first look at who is signed in is refused, as it must be, and browsers complain of that.
  assert.deepEqual(complaints.filter((c) => !/401.*\/console\/session/.test(c)), []);
  await page.getByRole('button', { name: /Signed in as/ }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await signInButton(page).waitFor();
  assert.equal((await page.context().request.get(w.env.DMS_ENDPOINT + '/console/session')).status(), 401);
  for (const action of ['signIn', 'signOut']) assert.ok((await w.api(`/audit?action=${action}`)).records.some((r) => r.actor.subject === 'demo'), action);
  await close();
});
