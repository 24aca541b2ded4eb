// Builds the console again and compares: two builds of the same sources are the same to the bit.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const dist = join(import.meta.dirname, '..', '..', 'dist');
const sums = () =>
  readdirSync(dist, { recursive: true, withFileTypes: true }).filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name)).sort()
    .map((f) => `${createHash('sha256').update(readFileSync(f)).digest('hex')}  ${relative(dist, f)}`);

const before = sums();
const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: join(import.meta.dirname, '..'), stdio: ['ignore', 'ignore', 'inherit'] });
if (status !== 0) process.exit(1);
const after = sums();
const different = before.filter((s) => !after.includes(s));
if (before.length === 0 || before.length !== after.length || different.length > 0) {
  console.error(`two builds differ:\n${different.slice(0, 20).join('\n')}`);
  process.exit(1);
}
console.log(`two builds are the same: ${after.length} files`);
