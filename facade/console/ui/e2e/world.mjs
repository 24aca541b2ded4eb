// What the tests of the console have in common: the real service, which serves the console, a
// browser, and people who sign in as people do.
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import { start } from './gate.mjs';

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export const binary = process.env.DMS_BINARY ?? join(import.meta.dirname, '..', '..', '..', '..', 'bin', 'dms');

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });

/** until polls a condition and says what it saw last when time is up. */
export async function until(what, condition, ms = 15_000) {
  const end = Date.now() + ms;
  for (let last; ; ) {
    last = await condition();
    if (last === true) return;
    if (Date.now() > end) throw new Error(`${what}: still ${JSON.stringify(last)} after ${ms} ms`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** run starts a program and waits until it says something. */
export async function run(args, ready, ms = 120_000) {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (text) => (said += text));
  child.stderr.on('data', (text) => (said += text));
  const ended = new Promise((done) => child.on('close', done));
  const stop = async (signal = 'SIGTERM') => {
    child.kill(signal);
    await ended;
  };
  try {
    await until('the service is ready', async () => (child.exitCode !== null ? `ended: ${said.slice(-2000)}` : await ready(said)), ms);
  } catch (err) {
    await stop('SIGKILL');
    throw err;
  }
  return { stop, output: () => said };
}

/** service runs the real binary in a folder of its own. */
export async function service() {
  const folder = mkdtempSync(join(tmpdir(), 'dms-console-'));
  const file = join(folder, 'dev.env');
  const clear = () => rmSync(folder, { recursive: true, force: true });
  const one = await run(['dev', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--data', folder], (said) => said.includes('dms: ready') && existsSync(file)).catch((err) => {
    clear();
    throw err;
  });
  const env = Object.fromEntries(readFileSync(file, 'utf8').split('\n').filter((l) => l.includes('=')).map((l) => [l.slice(0, l.indexOf('=')).replace('export ', ''), l.slice(l.indexOf('=') + 1).replace(/^'|'$/g, '')]));
  return { env, output: one.output, stop: () => one.stop().finally(clear) };
}

/** api calls the service as a program does. */
export function api(env) {
  return async (path, body, method = body === undefined ? 'GET' : 'POST', project = env.DMS_PROJECT_ID, token = env.DMS_TOKEN) => {
    const response = await fetch(`${env.DMS_ENDPOINT}/v2/${project}${path}`, { method, headers: { 'X-Auth-Token': token, 'Content-Type': 'application/json' }, ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
}

/** shell runs what the console shows as curl. */
export async function shell(code, env) {
  const { stdout } = await promisify(execFile)('sh', ['-eu', '-c', code], { env: { PATH: process.env.PATH, ...env } });
  return stdout;
}

export const signInButton = (page) => page.getByRole('link', { name: /^Sign in/ }).or(page.getByRole('button', { name: /^Sign in/ })).first();

/** fillIn is what somebody does at the development identity provider. */
export async function fillIn(page, user) {
  await page.locator('input[name=username], input[type=text]').first().fill(user);
  await page.locator('input[type=password]').fill(user);
  await page.keyboard.press('Enter');
}

/** world is all of it together. */
export async function world() {
  const served = await service();
  const gate = await start([new URL(served.env.DMS_ENDPOINT).host]);
  const browser = await launch();
  const states = new Map();

  const context = async ({ theme = 'light', locale = 'en', width = 1360, height = 900, storage = {} }, storageState) => {
    const made = await browser.newContext({ viewport: { width, height }, locale, permissions: ['clipboard-read', 'clipboard-write'], ...(storageState ? { storageState } : {}) });
    await made.addInitScript((p) => localStorage.getItem('dms.preferences') ?? localStorage.setItem('dms.preferences', p), JSON.stringify({ theme, locale, ...storage }));
    return made;
  };
  const signIn = async (page, user) => {
    await page.goto(served.env.DMS_ENDPOINT + '/console/');
    await signInButton(page).click();
    await fillIn(page, user);
    await page.locator('h1', { hasText: 'Overview' }).waitFor();
  };
  // Cookies do not mind ports: who has signed in at the service has done so at the gate.
  const stateOf = async (user) => {
    if (!states.has(user)) {
      const first = await context({});
      const page = await first.newPage();
      await signIn(page, user);
      states.set(user, { cookies: (await first.storageState()).cookies, origins: [] });
      await first.close();
    }
    return states.get(user);
  };
  /** open is a page of somebody who has signed in; of nobody with null, alone with a session of its own. */
  const open = async ({ user = 'demo', own = false, ...look } = {}) => {
    const made = await context(look, user === null || own ? undefined : await stateOf(user));
    const page = await made.newPage();
    page.setDefaultTimeout(20_000);
    if (own) await signIn(page, user);
    const complaints = [];
    page.on('console', (m) => ['error', 'warning'].includes(m.type()) && complaints.push(`${m.type()} ${m.text()} ${m.location().url}`));
    page.on('pageerror', (e) => complaints.push(`failed ${e.message}`));
    return { page, complaints, go: (path) => page.goto(`${gate.url}/console${path}`), close: () => made.close() };
  };
  const stop = async () => {
    await browser.close();
    await gate.stop();
    await served.stop();
  };
  const call = api(served.env);
  const queueWithGroup = async (name, more = {}) => {
    const queue = (await call('/queues', { name, ...more })).id;
    const group = (await call(`/queues/${queue}/groups`, { groups: [{ name: 'readers' }] })).groups[0].id;
    return { queue, group };
  };
  return { env: served.env, api: call, gate, open, stop, queueWithGroup };
}

/** settled waits until a page shows what it has to show. */
export async function settled(page) {
  await page.locator('h1').first().waitFor();
  await page.locator('.skeleton').first().waitFor({ state: 'detached' });
  await page.locator('.busy:not(.on)').waitFor({ state: 'attached' });
}

/** visit goes to a route inside the page that is open, as its own links do, and waits for it. */
export async function visit(page, route) {
  await settled(page);
  await page.evaluate((path) => {
    // A queue keeps its heading from tab to tab; any other page has one of its own.
    const next = new URL('/console' + path, location.href).pathname;
    const queue = /\/queues\/[0-9a-f-]{36}(\/messages\/\d+)?$/;
    const same = location.pathname === next || (queue.test(location.pathname) && queue.test(next));
    if (!same) document.querySelector('h1').dataset.before = '';
    history.pushState(null, '', '/console' + path);
    dispatchEvent(new PopStateEvent('popstate', { state: null }));
  }, route);
  await page.locator('h1[data-before]').waitFor({ state: 'detached' });
  await settled(page);
}

/** routes are all that the console has, for a project with these. */
export function routes({ queue, group, node = 'dev' }) {
  return [
    '/', '/queues', '/queues/create', ...['monitoring', 'messages', 'test', 'groups', 'dead', 'alarms', 'settings'].map((t) => `/queues/${queue}?tab=${t}`), `/queues/${queue}/messages/2`, `/queues/${queue}/groups/${group}`,
    '/dead-letters', '/alarms', '/access-keys', '/usage', '/audit', '/api', '/settings', '/admin/cluster', `/admin/cluster/${node}`, '/admin/projects', '/admin/events', '/nothing',
  ];
}

/** furnish makes a queue that has something on each of its pages. */
export async function furnish(w, name = 'orders') {
  const { queue, group } = await w.queueWithGroup(name, { redrive_policy: 'enable', max_consume_count: 1, description: 'EU 2026' });
  await w.api(`/queues/${queue}/messages`, { messages: [{ body: { n: 1 }, tags: ['eu'], attributes: { priority: 'high' } }, { body: 'text' }] });
  const [{ handler }] = await w.api(`/queues/${queue}/groups/${group}/messages?max_msgs=1`);
  await w.api(`/queues/${queue}/groups/${group}/ack`, { message: [{ handler, status: 'fail', reason: 'no such account' }] });
  await w.api('/alarms', { name: `late-${name}`, metric: 'available_messages', comparison: '>', threshold: 5, queue_id: queue });
  return { queue, group };
}
