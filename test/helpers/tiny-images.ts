/** Image files that take no time to make or to read. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encode } from '../images/fixtures.js';

/** The name of the n-th image: names sort as their numbers do. */
export function tinyName(n: number): string {
  return `${String(n).padStart(5, '0')}.png`;
}

/** Writes `count` different PNG images of 8x8 pixels. @returns the folder */
export async function writeTinyImages(folder: string, count: number): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (let n = 0; n < count; n++) await writeFile(join(folder, tinyName(n)), await tinyImage(n));
  return folder;
}

/** Noise around a colour; both follow from the number. */
async function tinyImage(n: number): Promise<Buffer> {
  const digest = createHash('sha512').update(String(n)).digest();
  const data = Uint8Array.from(
    { length: 3 * 8 * 8 },
    (_, i) => ((digest[i % 3]! * 3) >> 2) + (digest[(i * 7 + n) % 64]! >> 2),
  );
  return encode({ width: 8, height: 8, data }, 'png');
}
