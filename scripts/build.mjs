// Compiles src, pipelines, test, bench and examples into dist/. Incremental: a second call redoes only what changed.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
// The compiler's memory of the last build does not see that packages changed under it.
const memory = fileURLToPath(new URL('../dist/.tsbuildinfo', import.meta.url));
const installed = fileURLToPath(new URL('../node_modules/.package-lock.json', import.meta.url));
if (existsSync(memory) && existsSync(installed) && statSync(installed).mtimeMs > statSync(memory).mtimeMs)
  rmSync(memory);
const result = spawnSync(process.execPath, [tsc, '-p', root], { stdio: 'inherit' });
if (result.status !== 0) process.exit(result.status ?? 1);
const cli = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
if (existsSync(cli)) chmodSync(cli, 0o755);
