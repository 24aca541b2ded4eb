// Runs the tests of the console that need a browser: node e2e/run.mjs [part of a file's name].
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const wanted = process.argv[2] ?? '';
const files = readdirSync(import.meta.dirname).filter((f) => f.endsWith('.test.mjs') && f.includes(wanted)).map((f) => join(import.meta.dirname, f));
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=spec', ...files], { stdio: 'inherit' });
process.exitCode = status ?? 1;
