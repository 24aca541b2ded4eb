// Three nodes of the service as operators run them, behind a gate.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start as startGate } from './gate.mjs';
import { start as startProvider } from './idp.mjs';
import { binary, run } from './world.mjs';

async function freePorts(n) {
  const servers = await Promise.all(Array.from({ length: n }, () => new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => done(server));
  })));
  const ports = servers.map((s) => s.address().port);
  await Promise.all(servers.map((s) => new Promise((done) => s.close(done))));
  return ports;
}

/** cluster starts three nodes; kill ends one as a crash does. */
export async function cluster() {
  const folder = mkdtempSync(join(tmpdir(), 'dms-cluster-'));
  const project = 'c1'.repeat(16);
  const ports = await freePorts(9);
  const at = (kind, i) => `127.0.0.1:${ports[3 * kind + i]}`;
  const gate = await startGate([0, 1, 2].map((i) => at(0, i)));
  const provider = await startProvider({ project, name: 'shop', roles: ['manager', 'operator'] });
  const nodes = [];
  const stop = async () => {
    await Promise.all(nodes.map((n) => n.stop('SIGKILL')));
    await gate.stop();
    await provider.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  const ready = async (i) => (await fetch(`http://${at(1, i)}/readyz`).catch(() => null))?.ok === true || 'not ready';
  try {
    execFileSync(binary, ['keys', 'init', '--dir', join(folder, 'keys')]);
    const peers = [0, 1, 2].map((i) => `    - {name: n${i + 1}, address: "${at(2, i)}"}`).join('\n');
    const starting = [0, 1, 2].map(async (i) => {
      const own = join(folder, `n${i + 1}`);
      mkdirSync(own);
      writeFileSync(join(own, 'dms.yaml'), `node: n${i + 1}
data_folder: data
keys_folder: ../keys
api: {listen: "${at(0, i)}", public_url: "${gate.url}"}
admin: {listen: "${at(1, i)}"}
cluster:
  listen: "${at(2, i)}"
  peers:
${peers}
disk: {limit: 1GiB}
tenants: {auto_provision: true}
identity_providers:
  - id: people
    issuer: ${provider.issuer}
    audience: [dms]
    console: {name: People, client_id: dms-console, scopes: [profile]}
`);
      nodes[i] = await run(['serve', '--config', join(own, 'dms.yaml')], () => ready(i));
    });
    await Promise.all(starting);
  } catch (err) {
    await stop().catch(() => undefined);
    throw err;
  }
  return { env: { DMS_ENDPOINT: gate.url, DMS_PROJECT_ID: project, DMS_TOKEN: provider.access() }, gate, stop, kill: (i) => nodes[i].stop('SIGKILL') };
}
