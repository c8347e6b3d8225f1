/**
 * Tells a file that ends too early from one that is damaged inside, by walking its structure (see format.ts for the
 * sources). Only asked after a decoder has refused the file, so that files with harmless oddities stay readable.
 */
import { ascii, type ImageFormat } from './format.js';

/** @returns whether the file ends before its own structure does */
export function endsEarly(format: ImageFormat, bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    switch (format) {
      case 'jpeg':
        return jpegEndsEarly(view);
      case 'png':
        return pngEndsEarly(view, bytes);
      case 'webp':
        return 8 + view.getUint32(4, true) > bytes.length;
      case 'gif':
        return gifEndsEarly(view);
      case 'tiff':
        return tiffEndsEarly(view);
      case 'avif':
        return avifEndsEarly(view, bytes);
    }
  } catch (error) {
    // A read past the last byte is the very thing that was looked for.
    if (error instanceof RangeError) return true;
    throw error;
  }
}

function jpegEndsEarly(view: DataView): boolean {
  let position = 2;
  let entropyCoded = false;
  for (;;) {
    if (view.getUint8(position) !== 0xff) {
      if (!entropyCoded) return false;
      position += 1;
      continue;
    }
    const marker = view.getUint8(position + 1);
    if (marker === 0xd9) return false;
    if (marker === 0xff) position += 1;
    else if (marker === 0 || marker === 1 || (marker >= 0xd0 && marker <= 0xd8)) position += 2;
    else {
      entropyCoded = marker === 0xda;
      position += 2 + view.getUint16(position + 2);
    }
  }
}

function pngEndsEarly(view: DataView, bytes: Uint8Array): boolean {
  let position = 8;
  for (;;) {
    const length = view.getUint32(position);
    const type = ascii(bytes, position + 4, 4);
    position += 12 + length;
    if (position > bytes.length) return /^[A-Za-z]{0,4}$/.test(type);
    if (type === 'IEND' || !/^[A-Za-z]{4}$/.test(type)) return false;
  }
}

function gifEndsEarly(view: DataView): boolean {
  const colourTable = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let position = 13 + colourTable(view.getUint8(10));
  for (;;) {
    const block = view.getUint8(position);
    if (block === 0x3b) return false;
    if (block === 0x21) position += 2;
    else if (block === 0x2c) position += 11 + colourTable(view.getUint8(position + 9));
    else return false;
    for (let length = view.getUint8(position); length > 0; length = view.getUint8(position)) position += 1 + length;
    position += 1;
  }
}

/** Where a value of a TIFF type occupies so many bytes; types 1 to 13. */
const TIFF_TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4];

/** Values, strips and tiles of the first directory lie at offsets; one beyond the end means a cut file. */
function tiffEndsEarly(view: DataView): boolean {
  const little = view.getUint8(0) === 0x49;
  if (view.getUint16(2, little) !== 42) return false;
  const directory = view.getUint32(4, little);
  const entries = view.getUint16(directory, little);
  const values = new Map<number, number[]>();
  for (let entry = 0; entry < entries; entry++) {
    const at = directory + 2 + 12 * entry;
    const [tag, type, count] = [
      view.getUint16(at, little),
      view.getUint16(at + 2, little),
      view.getUint32(at + 4, little),
    ];
    const size = (TIFF_TYPE_BYTES[type] ?? 0) * count;
    const data = size > 4 ? view.getUint32(at + 8, little) : at + 8;
    if (data + size > view.byteLength) return true;
    // Strip offsets and byte counts, tile offsets and byte counts.
    if (![273, 279, 324, 325].includes(tag) || (type !== 3 && type !== 4)) continue;
    const read = (index: number) =>
      type === 3 ? view.getUint16(data + 2 * index, little) : view.getUint32(data + 4 * index, little);
    values.set(
      tag,
      Array.from({ length: count }, (_, index) => read(index)),
    );
  }
  const ends = (offsets: number[] = [], lengths: number[] = []) =>
    offsets.some((offset, index) => offset + (lengths[index] ?? 0) > view.byteLength);
  return ends(values.get(273), values.get(279)) || ends(values.get(324), values.get(325));
}

function avifEndsEarly(view: DataView, bytes: Uint8Array): boolean {
  let position = 0;
  while (position < bytes.length) {
    const size = view.getUint32(position);
    if (!/^[\x20-\x7e]{4}$/.test(ascii(bytes, position + 4, 4))) return false;
    // 0: the box runs to the end of the file; 1: a 64-bit size follows, which no picture needs.
    if (size < 8) return false;
    position += size;
  }
  return position > bytes.length;
}
