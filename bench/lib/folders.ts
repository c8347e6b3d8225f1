/** Folders that benchmarks read and write. */
import { copyFile, link, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @returns absolute path of a file of the repository (benchmarks run from dist/) */
export function fromRoot(path: string): string {
  return fileURLToPath(new URL(`../../../${path}`, import.meta.url));
}

/** The compiled command line. */
export const CLI = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** Calls `use` with a new folder, which is removed afterwards. */
export async function withScratch<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'deflector-bench-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const IMAGES = new Set(['.jpg', '.jpeg', '.png', '.webp', '.avif', '.tif', '.tiff', '.gif']);

/** Images of a folder, ascending by name. @throws Error where there are none */
export async function imagesOf(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter(name => IMAGES.has(extname(name).toLowerCase())).sort();
  if (names.length === 0) throw new Error(`There are no images in ${folder}`);
  return names.map(name => join(folder, name));
}

/** Makes a folder of `count` images out of those that there are, spread evenly over them, repeated where they are fewer. */
export async function folderOf(files: readonly string[], count: number, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const step = Math.max(1, files.length / count);
  for (let i = 0; i < count; i++) {
    const file = files[Math.floor(i * step) % files.length]!;
    const to = join(folder, `${String(i).padStart(6, '0')}${extname(file)}`);
    // A link costs no space; between file systems there is none.
    await link(file, to).catch(() => copyFile(file, to));
  }
  return folder;
}
