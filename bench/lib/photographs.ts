/** Photographs as people have them, made from the one that comes with the project. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { fromRoot, imagesOf } from './folders.js';

/** Made images are this many; larger folders repeat them under other names. */
const DISTINCT = 200;

/**
 * Makes JPEG files of 256 to 500 pixels: parts of photographs of the project, turned, mirrored, lightened.
 *
 * @returns their paths
 */
export async function makePhotographs(folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const sources = await imagesOf(fromRoot('samples'));
  for (let i = 0; i < DISTINCT; i++) {
    const source = sharp(sources[i % sources.length]!);
    const { width, height } = await source.metadata();
    // Fractions of the golden ratio spread evenly, however many are taken.
    const spread = (k: number): number => (i * 0.618034 + k * 0.414214) % 1;
    const side = (length: number, k: number) => Math.floor(length * (0.6 + 0.4 * spread(k)));
    const [w, h] = [side(width, 1), side(height, 2)];
    const [left, top] = [Math.floor((width - w) * spread(3)), Math.floor((height - h) * spread(4))];
    await source
      .extract({ left, top, width: w, height: h })
      .resize(256 + Math.floor(244 * spread(5)), 256 + Math.floor(244 * spread(6)), { fit: 'cover' })
      .flop(i % 2 === 1)
      .modulate({ brightness: 0.8 + 0.4 * spread(7), hue: Math.floor(60 * spread(8)) })
      .jpeg({ quality: 75 + Math.floor(20 * spread(9)) })
      .toFile(join(folder, `${String(i).padStart(4, '0')}.jpg`));
  }
  return imagesOf(folder);
}
