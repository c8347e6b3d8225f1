/**
 * What the first bytes of a file say: its format by its magic number, never by its name, and the size that its
 * header claims, read without decoding anything.
 *
 * Sources: JPEG ITU-T T.81 annex B; PNG (Third Edition) 5.2 and 11.2.1; GIF89a 17 and 18; RFC 9649 (WebP) 2.5 to 2.7;
 * TIFF 6.0 section 2; AVIF 1.2 and ISO/IEC 14496-12 4.3 (file type box).
 */

/** The formats that Deflector reads. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'avif' | 'tiff' | 'gif';

/** Names of the formats as people write them. */
export const FORMAT_NAMES: Readonly<Record<ImageFormat, string>> = Object.freeze({
  jpeg: 'JPEG',
  png: 'PNG',
  webp: 'WebP',
  avif: 'AVIF',
  tiff: 'TIFF',
  gif: 'GIF',
});

/** A magic number: bytes at an offset; every part has to match. */
type Magic = readonly (readonly [offset: number, bytes: string])[];

const FORMATS: readonly (readonly [ImageFormat, Magic])[] = [
  ['jpeg', [[0, '\xff\xd8\xff']]],
  ['png', [[0, '\x89PNG\r\n\x1a\n']]],
  ['webp', [[0, 'RIFF'], [8, 'WEBP']]], // biome-ignore format: one format a line
  ['gif', [[0, 'GIF87a']]],
  ['gif', [[0, 'GIF89a']]],
  ['tiff', [[0, 'II*\0']]],
  ['tiff', [[0, 'MM\0*']]],
  ['tiff', [[0, 'II+\0\x08\0\0\0']]],
  ['tiff', [[0, 'MM\0+\0\x08\0\0']]],
];

/** Brands of the file type box that promise AV1 pictures. */
const AVIF_BRANDS: ReadonlySet<string> = new Set(['avif', 'avis']);

/** What else people put into folders of images; only to say by name what was refused. */
const REFUSED: readonly (readonly [string, Magic])[] = [
  ['a PDF document', [[0, '%PDF-']]],
  ['a ZIP archive or an office document', [[0, 'PK\x03\x04']]],
  ['a gzip archive', [[0, '\x1f\x8b']]],
  ['a BMP image', [[0, 'BM']]],
  ['a Photoshop document', [[0, '8BPS']]],
  ['a JPEG XL image', [[0, '\xff\x0a']]],
  ['a JPEG XL image', [[4, 'JXL \r\n\x87\n']]],
  ['a JPEG 2000 image', [[4, 'jP  \r\n\x87\n']]],
  ['a JPEG 2000 image', [[0, '\xff\x4f\xff\x51']]],
  ['a PostScript document', [[0, '%!PS']]],
  ['an OpenEXR image', [[0, '\x76\x2f\x31\x01']]],
  ['an icon', [[0, '\0\0\x01\0']]],
];

/** @returns the format that the first bytes announce, `undefined` for anything that Deflector does not read */
export function sniffFormat(bytes: Uint8Array): ImageFormat | undefined {
  for (const [format, magic] of FORMATS) if (matches(bytes, magic)) return format;
  return fileBrands(bytes).some(brand => AVIF_BRANDS.has(brand)) ? 'avif' : undefined;
}

/** @returns the format whose magic number these few bytes begin, where the file ends inside the magic number */
export function sniffFragment(bytes: Uint8Array): ImageFormat | undefined {
  if (bytes.length < 2) return undefined;
  for (const [format, magic] of FORMATS) {
    const last = magic[magic.length - 1]!;
    if (bytes.length >= last[0] + last[1].length) continue;
    if (magic.every(([offset, text]) => ascii(bytes, offset, text.length) === text.slice(0, bytes.length - offset))) {
      return format;
    }
  }
  return undefined;
}

/** @returns for people, what a file is that Deflector does not read: 'a PDF document' */
export function describeContent(bytes: Uint8Array): string {
  for (const [name, magic] of REFUSED) if (matches(bytes, magic)) return name;
  const brands = fileBrands(bytes);
  if (brands.some(brand => /^(hei|hev)/.test(brand))) return 'an HEIC image';
  if (brands.length > 0) return 'a video or another ISO media file';
  const head = ascii(bytes, 0, 1024).replace(/^\xef\xbb\xbf/, '');
  // C0 controls other than tab, line feed, form feed and carriage return do not occur in text.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  if (/[\0-\x08\x0b\x0e-\x1f]/.test(head)) return 'of an unknown format';
  if (/<svg[\s>]/i.test(head)) return 'an SVG drawing';
  if (/^\s*<(!doctype html|html|head|body)/i.test(head)) return 'an HTML page';
  if (/^\s*<\?xml/i.test(head)) return 'an XML document';
  return 'text';
}

/**
 * The size that the header claims, before orientation.
 *
 * @returns `undefined` where the header does not tell in the places that every writer uses; the decoder then has the say
 */
export function headerSize(
  format: ImageFormat,
  bytes: Uint8Array,
): { readonly width: number; readonly height: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    switch (format) {
      case 'jpeg':
        return jpegSize(bytes);
      case 'png':
        return { width: view.getUint32(16), height: view.getUint32(20) };
      case 'gif':
        return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
      case 'webp':
        return webpSize(view, bytes);
      case 'tiff':
        return tiffSize(view);
      case 'avif':
        return undefined;
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Whether a JPEG marker opens a frame and so carries the size: SOF0 to SOF15 without DHT, JPG and DAC. */
function isStartOfFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** A segment of a JPEG file: `bytes[start]` is its marker's 0xff, `end` where the next one begins. */
export interface JpegSegment {
  readonly code: number;
  readonly isFrame: boolean;
  readonly start: number;
  readonly end: number;
}

/**
 * The segments before the first scan, in their order; ends where the file cannot be followed.
 *
 * @throws RangeError where the file ends inside
 */
export function* jpegSegments(bytes: Uint8Array): Generator<JpegSegment, void, undefined> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = 2;
  while (view.getUint8(start) === 0xff) {
    const code = view.getUint8(start + 1);
    if (code === 0xff) {
      start += 1;
      continue;
    }
    if (code === 0xda || code === 0xd9) return;
    const end = start + 2 + view.getUint16(start + 2);
    yield { code, isFrame: isStartOfFrame(code), start, end };
    start = end;
  }
}

function jpegSize(bytes: Uint8Array): { width: number; height: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const { isFrame, start } of jpegSegments(bytes)) {
    if (isFrame) return { width: view.getUint16(start + 7), height: view.getUint16(start + 5) };
  }
  return undefined;
}

function webpSize(view: DataView, bytes: Uint8Array): { width: number; height: number } | undefined {
  switch (ascii(bytes, 12, 4)) {
    case 'VP8X':
      return { width: 1 + (view.getUint32(24, true) & 0xffffff), height: 1 + (view.getUint32(26, true) >>> 8) };
    case 'VP8L': {
      const bits = view.getUint32(21, true);
      return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
    }
    case 'VP8 ':
      return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
    default:
      return undefined;
  }
}

function tiffSize(view: DataView): { width: number; height: number } | undefined {
  const little = view.getUint8(0) === 0x49;
  if (view.getUint16(2, little) !== 42) return undefined;
  const directory = view.getUint32(4, little);
  const entries = view.getUint16(directory, little);
  let width: number | undefined;
  let height: number | undefined;
  for (let entry = 0; entry < entries; entry++) {
    const at = directory + 2 + 12 * entry;
    const tag = view.getUint16(at, little);
    const value =
      view.getUint16(at + 2, little) === 3 ? view.getUint16(at + 8, little) : view.getUint32(at + 8, little);
    if (tag === 256) width = value;
    if (tag === 257) height = value;
  }
  return width === undefined || height === undefined ? undefined : { width, height };
}

/** Major and compatible brands of an ISO base media file; empty for other files. */
function fileBrands(bytes: Uint8Array): string[] {
  if (ascii(bytes, 4, 4) !== 'ftyp') return [];
  const size = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
  const end = Math.min(size, bytes.length, 256);
  const brands = [ascii(bytes, 8, 4)];
  for (let at = 16; at + 4 <= end; at += 4) brands.push(ascii(bytes, at, 4));
  return brands;
}

function matches(bytes: Uint8Array, magic: Magic): boolean {
  return magic.every(([offset, text]) => ascii(bytes, offset, text.length) === text);
}

/** Bytes as text, one character a byte. */
export function ascii(bytes: Uint8Array, offset: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', offset, offset + length);
}
