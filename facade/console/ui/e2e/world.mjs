// What the tests of the console have in common: the real service, a browser, and somebody
// who has signed in.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { start } from './front.mjs';

export const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const roles = ['viewer', 'producer', 'consumer', 'manager'];

/** session is what the service tells of who is signed in. */
export function session(env = process.env, minutes = 60) {
  return {
    subject: 'demo', name: 'Demo User', expires_at: new Date(Date.now() + minutes * 60_000).toISOString(), providers: [{ id: 'dev', name: 'Development' }], operator: env.OPERATOR === '1',
    projects: [{ id: env.DMS_PROJECT_ID, name: env.DMS_PROJECT_NAME ?? 'demo', roles }, ...(env.DMS_PROJECT2_ID ? [{ id: env.DMS_PROJECT2_ID, name: env.DMS_PROJECT2_NAME ?? 'other', roles }] : [])],
  };
}

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

/** service runs the real binary in a folder of its own. */
export async function service() {
  const binary = process.env.DMS_BINARY ?? join(import.meta.dirname, '..', '..', '..', '..', 'bin', 'dms');
  const folder = mkdtempSync(join(tmpdir(), 'dms-console-'));
  const child = spawn(binary, ['dev', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--data', folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (text) => (said += text));
  child.stderr.on('data', (text) => (said += text));
  const ended = new Promise((done) => child.on('close', done));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until('the service is ready', () => (child.exitCode !== null ? `ended: ${said.slice(-2000)}` : said.includes('dms: ready') && existsSync(join(folder, 'dev.env'))), 120_000);
  } catch (err) {
    await stop();
    throw err;
  }
  const env = Object.fromEntries(readFileSync(join(folder, 'dev.env'), 'utf8').split('\n').filter((l) => l.includes('=')).map((l) => [l.slice(0, l.indexOf('=')).replace('export ', ''), l.slice(l.indexOf('=') + 1).replace(/^'|'$/g, '')]));
  return { env, stop, output: () => said };
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

/** world is all of it together. */
export async function world() {
  const served = await service();
  const front = await start({ endpoint: served.env.DMS_ENDPOINT, token: served.env.DMS_TOKEN, session: session(served.env), events: true });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });
  const open = async ({ theme = 'light', locale = 'en', width = 1360, height = 900, storage = {} } = {}) => {
    const context = await browser.newContext({ viewport: { width, height }, locale, permissions: ['clipboard-read', 'clipboard-write'] });
    await context.addInitScript((p) => localStorage.getItem('dms.preferences') ?? localStorage.setItem('dms.preferences', p), JSON.stringify({ theme, locale, ...storage }));
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const complaints = [];
    page.on('console', (m) => ['error', 'warning'].includes(m.type()) && complaints.push(`${m.type()} ${m.text()}`));
    page.on('pageerror', (e) => complaints.push(`failed ${e.message}`));
    return { page, complaints, go: (path) => page.goto(`${front.url}/console${path}`), close: () => context.close() };
  };
  const stop = async () => {
    await browser.close();
    await front.stop();
    await served.stop();
  };
  return { env: served.env, api: api(served.env), front, open, stop };
}
