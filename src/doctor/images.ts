/** sharp and the image formats. */
import type { Examination } from './finding.js';

const FORMATS = ['jpeg', 'png', 'webp', 'avif', 'tiff', 'gif'] as const;

export const IMAGES: Examination = {
  id: 'images',
  name: 'Image formats',
  needed: true,
  remedy: 'Install again with the optional packages (npm install --include=optional): sharp brings libvips that way.',
  async examine() {
    const { default: sharp } = await import('sharp');
    const create = { width: 16, height: 16, channels: 3, background: 'teal' } as const;
    const broken: string[] = [];
    for (const format of FORMATS) {
      try {
        const encoded = await sharp({ create }).toFormat(format).toBuffer();
        await sharp(encoded).raw().toBuffer();
      } catch {
        broken.push(format);
      }
    }
    if (broken.length > 0) throw new Error(`sharp cannot read ${broken.join(', ')}`);
    return `${FORMATS.join(', ')} (sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips})`;
  },
};
