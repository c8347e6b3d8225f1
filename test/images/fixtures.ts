/** Real files of every format, made on the spot. */
import { deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { FORMAT_NAMES, type ImageFormat } from '../../src/images/format.js';
import type { RgbImage } from '../../src/types.js';

export const FORMATS = Object.keys(FORMAT_NAMES) as readonly ImageFormat[];

/** Noise that goldens/make.py makes too: top byte of i * 2654435761 mod 2^32. */
export function noise(width: number, height: number): RgbImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.imul(i, 2654435761 | 0) >>> 24);
  return { width, height, data };
}

/** Colours that change slowly, so that lossy formats keep them, and differently along each axis. */
export function gradient(width: number, height: number): RgbImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.trunc(i / 3);
    const x = (pixel % width) / width;
    const y = Math.trunc(pixel / width) / height;
    return Math.round([40 + 180 * x, 40 + 180 * y, 200 - 120 * x * y][i % 3]!);
  });
  return { width, height, data };
}

export function open({ width, height, data }: RgbImage): Sharp {
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** A file of the format, as its most common writers make it. */
export function encode(image: RgbImage, format: ImageFormat): Promise<Buffer> {
  switch (format) {
    case 'jpeg':
      return open(image).jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer();
    case 'webp':
      return open(image).webp({ quality: 95 }).toBuffer();
    case 'avif':
      return open(image).avif({ quality: 90, effort: 2 }).toBuffer();
    case 'tiff':
      return open(image).tiff({ compression: 'lzw' }).toBuffer();
    case 'png':
      return open(image).png().toBuffer();
    case 'gif':
      return open(image).gif().toBuffer();
  }
}

/** A PNG chunk (PNG, 5.3). */
function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(checksum(body));
  return Buffer.concat([length, body, check]);
}

/** CRC-32 (PNG, annex D); node:zlib has it only from Node 20.15. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** A black PNG of one bit a pixel: the most pixels for the fewest bytes. */
export function blackPng(width: number, height: number, rows = height): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 1;
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.alloc(rows * (1 + Math.ceil(width / 8))))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Primaries of a colour space as x, y of red, green and blue, and the gamma of its curve. */
export interface ColourSpace {
  readonly primaries: readonly (readonly [number, number, number])[];
  readonly gamma: number;
}

/** Adobe RGB (1998), section 4.3: primaries in XYZ, adapted to D50 by Bradford as ICC profiles want them. */
export const ADOBE_RGB: ColourSpace = {
  primaries: [
    [0.60974, 0.31111, 0.01947],
    [0.20528, 0.62567, 0.06087],
    [0.14919, 0.06322, 0.74457],
  ],
  gamma: 563 / 256,
};

/** A matrix and curve display profile (ICC.1:2001-04, 6.3.1.2). */
export function iccProfile({ primaries, gamma }: ColourSpace): Buffer {
  const fixed = (value: number) => Math.round(value * 65536);
  const xyz = (values: readonly number[]) => {
    const tag = Buffer.alloc(20);
    tag.write('XYZ ', 'latin1');
    values.forEach((value, i) => {
      tag.writeInt32BE(fixed(value), 8 + 4 * i);
    });
    return tag;
  };
  const curve = Buffer.alloc(16);
  curve.write('curv', 'latin1');
  curve.writeUInt32BE(1, 8);
  curve.writeUInt16BE(Math.round(gamma * 256), 12);
  const text = Buffer.alloc(108);
  text.write('desc', 'latin1');
  text.writeUInt32BE(5, 8);
  text.write('Test', 12, 'latin1');
  const copyright = Buffer.from('text\0\0\0\0None\0\0\0\0', 'latin1');
  const white = [0.9642, 1, 0.82491];
  const tags: [string, Buffer][] = [
    ['desc', text],
    ['cprt', copyright],
    ['wtpt', xyz(white)],
    ['rXYZ', xyz(primaries[0]!)],
    ['gXYZ', xyz(primaries[1]!)],
    ['bXYZ', xyz(primaries[2]!)],
    ['rTRC', curve],
    ['gTRC', curve],
    ['bTRC', curve],
  ];
  const table = Buffer.alloc(4 + 12 * tags.length);
  table.writeUInt32BE(tags.length);
  let offset = 128 + table.length;
  tags.forEach(([name, tag], i) => {
    table.write(name, 4 + 12 * i, 'latin1');
    table.writeUInt32BE(offset, 8 + 12 * i);
    table.writeUInt32BE(tag.length, 12 + 12 * i);
    offset += tag.length;
  });
  const header = Buffer.alloc(128);
  header.writeUInt32BE(offset, 0);
  header.writeUInt32BE(0x02200000, 8);
  header.write('mntrRGB XYZ ', 12, 'latin1');
  header.writeUInt16BE(2020, 24);
  header.writeUInt16BE(1, 26);
  header.writeUInt16BE(1, 28);
  header.write('acsp', 36, 'latin1');
  white.forEach((value, i) => {
    header.writeInt32BE(fixed(value), 68 + 4 * i);
  });
  return Buffer.concat([header, table, ...tags.map(([, tag]) => tag)]);
}

/** Puts a profile into a PNG, after its header chunk (PNG, 11.3.2.3). */
export function withProfile(png: Buffer, profile: Buffer): Buffer {
  const name = Buffer.from('Test\0\0', 'latin1');
  return Buffer.concat([
    png.subarray(0, 33),
    chunk('iCCP', Buffer.concat([name, deflateSync(profile)])),
    png.subarray(33),
  ]);
}

/** Puts a profile into a JPEG as one segment (ICC.1:2022, B.4): before the first other one, or right before the scan. */
export function withJpegProfile(jpeg: Buffer, profile: Buffer, place: 'first' | 'last'): Buffer {
  const head = Buffer.from('\xff\xe2\0\0ICC_PROFILE\0\x01\x01', 'latin1');
  head.writeUInt16BE(head.length - 2 + profile.length, 2);
  let at = 2;
  if (place === 'last') while (jpeg[at + 1] !== 0xda) at += 2 + jpeg.readUInt16BE(at + 2);
  return Buffer.concat([jpeg.subarray(0, at), head, profile, jpeg.subarray(at)]);
}
