/** Folders that tests work in, and a way to meet permissions even as root. */
import { rmSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Folders that something still wrote to when their tests ended. */
const busy = new Set<string>();
process.once('exit', () => {
  for (const folder of busy) rmSync(folder, { recursive: true, force: true });
});

/** A new folder that goes away when the test ends. */
export async function temporaryFolder(t: Pick<TestContext, 'after'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'deflector-test-'));
  // Readable by any user, for `asPlainUser`.
  await chmod(folder, 0o755);
  // Hooks run in the order of their registration, and a hook that throws keeps the later ones, which end the processes that
  // write here, from running.
  t.after(() => rm(folder, { recursive: true, force: true }).catch(() => busy.add(folder)));
  return folder;
}

/** Runs something without the rights of root, for which permissions would mean nothing. */
export async function asPlainUser<T>(run: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return run();
  process.seteuid!(65534);
  try {
    return await run();
  } finally {
    process.seteuid!(0);
  }
}

/** All that an async iterable gives. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The paths of all files below a folder but hidden ones, in order; none where there is no folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter(entry => entry.isFile() && !entry.name.startsWith('.'))
    .map(entry => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}
