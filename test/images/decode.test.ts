import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import fc from 'fast-check';
import sharp from 'sharp';
import { DeflectorError, type ErrorCode } from '../../src/errors.js';
import { DEFAULT_LIMITS, decodeImage, hardenDecoder } from '../../src/images/decode.js';
import { sniffFormat } from '../../src/images/format.js';
import type { RgbImage } from '../../src/types.js';
import {
  ADOBE_RGB,
  blackPng,
  encode,
  FORMATS,
  gradient,
  iccProfile,
  noise,
  open,
  withJpegProfile,
  withProfile,
} from './fixtures.js';

before(hardenDecoder);

const picture = gradient(61, 47);

function largestDifference(a: RgbImage, b: RgbImage): number {
  assert.deepEqual([a.width, a.height, a.data.length], [b.width, b.height, b.data.length]);
  return a.data.reduce((most, value, i) => Math.max(most, Math.abs(value - b.data[i]!)), 0);
}

/** Every pixel is this colour, within a tolerance. */
function assertColour(image: RgbImage, colour: readonly number[], tolerance: number): void {
  for (let i = 0; i < image.data.length; i++) {
    const difference = Math.abs(image.data[i]! - colour[i % 3]!);
    assert.ok(difference <= tolerance, `sample ${i} is ${image.data[i]}, not ${colour[i % 3]}`);
  }
}

function plain(width: number, height: number, [red, green, blue]: readonly number[]): RgbImage {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => [red, green, blue][i % 3]!) };
}

async function refusal(bytes: Uint8Array, limits = DEFAULT_LIMITS): Promise<DeflectorError> {
  try {
    await decodeImage(bytes, limits);
  } catch (error) {
    assert.ok(error instanceof DeflectorError, String(error));
    return error;
  }
  assert.fail('the image was decoded');
}

async function assertRefused(bytes: Uint8Array, code: ErrorCode, message: RegExp): Promise<void> {
  const error = await refusal(bytes);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
}

describe('what is read', () => {
  for (const format of ['png', 'tiff'] as const) {
    it(`${format.toUpperCase()} gives the pixels that were written`, async () => {
      assert.equal(largestDifference(await decodeImage(await encode(noise(37, 23), format)), noise(37, 23)), 0);
    });
  }
  for (const format of ['jpeg', 'webp', 'avif', 'gif'] as const) {
    it(`${format.toUpperCase()} gives the picture that was written, but for its loss`, async () => {
      const loss = largestDifference(await decodeImage(await encode(picture, format)), picture);
      assert.ok(loss <= 16, `largest difference ${loss}`);
    });
  }
  const variants: Record<string, () => Promise<Buffer>> = {
    'progressive JPEG': () => open(picture).jpeg({ quality: 95, progressive: true }).toBuffer(),
    'interlaced PNG': () => open(picture).png({ progressive: true }).toBuffer(),
    'PNG with a palette': () => open(picture).png({ palette: true }).toBuffer(),
    'lossless WebP': () => open(picture).webp({ lossless: true }).toBuffer(),
    'tiled TIFF': () =>
      open(picture).tiff({ tile: true, tileWidth: 16, tileHeight: 16, compression: 'none' }).toBuffer(),
    BigTIFF: () => open(picture).tiff({ bigtiff: true, compression: 'deflate' }).toBuffer(),
    'TIFF with JPEG inside': () => open(picture).tiff({ compression: 'jpeg', quality: 95 }).toBuffer(),
  };
  for (const [name, make] of Object.entries(variants)) {
    it(name, async () => {
      const loss = largestDifference(await decodeImage(await make()), picture);
      assert.ok(loss <= 16, `largest difference ${loss}`);
    });
  }
  it('a byte view into a larger buffer, without reading beyond it', async () => {
    const png = await encode(picture, 'png');
    const larger = Buffer.concat([Buffer.alloc(11, 0xaa), png, Buffer.alloc(7, 0xaa)]);
    assert.equal(largestDifference(await decodeImage(larger.subarray(11, 11 + png.length)), picture), 0);
  });
  for (const [width, height] of [
    [1, 1],
    [1, 5000],
    [5000, 1],
  ] as const) {
    it(`an image of ${width}x${height}`, async () => {
      const image = noise(width, height);
      assert.equal(largestDifference(await decodeImage(await encode(image, 'png')), image), 0);
    });
  }
  it('the first frame of an animated GIF', async () => {
    const frames = await Promise.all(
      [
        [250, 10, 10],
        [10, 250, 10],
      ].map(c => encode(plain(8, 6, c), 'png')),
    );
    const gif = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer();
    const image = await decodeImage(gif);
    assert.deepEqual([image.width, image.height], [8, 6]);
    assertColour(image, [250, 10, 10], 4);
  });
  it('the first page of a TIFF', async () => {
    const pages = await Promise.all(
      [
        [250, 10, 10],
        [10, 250, 10],
      ].map(c => encode(plain(8, 6, c), 'png')),
    );
    const tiff = await sharp(pages, { join: { animated: true } })
      .tiff({ compression: 'lzw' })
      .toBuffer();
    assert.equal(largestDifference(await decodeImage(tiff), plain(8, 6, [250, 10, 10])), 0);
  });
});

describe('every way of storing colour becomes 8-bit sRGB', () => {
  it('grey fills all three channels', async () => {
    const png = await open(plain(5, 4, [90, 90, 90]))
      .greyscale()
      .png()
      .toBuffer();
    assertColour(await decodeImage(png), [90, 90, 90], 0);
  });
  it('grey with alpha', async () => {
    const png = await sharp({
      create: { width: 4, height: 4, channels: 4, background: { r: 60, g: 60, b: 60, alpha: 0.5 } },
    })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    assertColour(await decodeImage(png), [158, 158, 158], 1);
  });
  it('16 bits are reduced to 8', async () => {
    const png = await open(plain(5, 4, [250, 100, 3]))
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    assert.equal((await sharp(png).metadata()).depth, 'ushort');
    assertColour(await decodeImage(png), [250, 100, 3], 0);
  });
  it('16-bit grey is reduced to 8', async () => {
    const png = await open(plain(5, 4, [90, 90, 90]))
      .toColourspace('grey16')
      .png()
      .toBuffer();
    assertColour(await decodeImage(png), [90, 90, 90], 0);
  });
  it('CMYK is converted: white stays white, cyan has no red', async () => {
    const white = await open(plain(16, 16, [255, 255, 255]))
      .toColourspace('cmyk')
      .jpeg({ quality: 100 })
      .toBuffer();
    assert.equal((await sharp(white).metadata()).channels, 4);
    assertColour(await decodeImage(white), [255, 255, 255], 2);
    const cyan = await open(plain(16, 16, [0, 174, 239]))
      .toColourspace('cmyk')
      .jpeg({ quality: 100 })
      .toBuffer();
    assertColour(await decodeImage(cyan), [0, 174, 239], 30);
  });
  it('alpha lies over white', async () => {
    const half = { r: 200, g: 0, b: 100, alpha: 0.5 };
    const png = await sharp({ create: { width: 4, height: 4, channels: 4, background: half } })
      .png()
      .toBuffer();
    assertColour(await decodeImage(png), [227, 127, 177], 1);
    const none = await sharp({ create: { width: 4, height: 4, channels: 4, background: { ...half, alpha: 0 } } })
      .webp({ lossless: true })
      .toBuffer();
    assertColour(await decodeImage(none), [255, 255, 255], 0);
  });
  it('Display P3 is converted by its profile', async () => {
    // libvips converts to P3 while writing, so the way back has to give the colour again.
    const png = await open(plain(8, 8, [200, 60, 40]))
      .withIccProfile('p3')
      .png()
      .toBuffer();
    const stored = await sharp(png, { ignoreIcc: true }).raw().toBuffer();
    assert.ok(stored[0]! < 190, 'the stored red is smaller in the wider space');
    assertColour(await decodeImage(png), [200, 60, 40], 2);
  });
  it('Adobe RGB is converted by its profile', async () => {
    // Expected: Adobe RGB (1998) to XYZ D50 to linear sRGB (inverse of the sRGB D50 matrix, ICC sRGB profile), IEC 61966-2-1 curve.
    const stored = [120, 150, 90];
    const linear = stored.map(value => (value / 255) ** ADOBE_RGB.gamma);
    const xyz = [0, 1, 2].map(i => linear.reduce((sum, value, c) => sum + value * ADOBE_RGB.primaries[c]![i]!, 0));
    const toSrgb = [
      [3.13424, -1.61724, -0.49074],
      [-0.97875, 1.91613, 0.03345],
      [0.07197, -0.22899, 1.40538],
    ];
    const expected = toSrgb.map(row => {
      const value = row.reduce((sum, weight, i) => sum + weight * xyz[i]!, 0);
      return 255 * (value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055);
    });
    const png = withProfile(await encode(plain(8, 8, stored), 'png'), iccProfile(ADOBE_RGB));
    assert.ok(Math.abs(expected[0]! - stored[0]!) > 10, 'the conversion matters');
    assertColour(await decodeImage(png), expected, 2);
  });
  it('a profile does in a JPEG what it does in a PNG, where it is that of sRGB too', async () => {
    const { icc: srgb } = await sharp(await open(picture).png().withIccProfile('srgb').toBuffer()).metadata();
    const primaries = [
      [0.43607, 0.22249, 0.01392],
      [0.38515, 0.71687, 0.09708],
      [0.14307, 0.06061, 0.7141],
    ] as const;
    const profiles = [srgb!, iccProfile(ADOBE_RGB), iccProfile({ primaries, gamma: 2.2 }), Buffer.alloc(200, 7)];
    const jpeg = await encode(noise(61, 47), 'jpeg');
    const stored = await decodeImage(jpeg);
    for (const profile of profiles) {
      const converted = await decodeImage(withProfile(await encode(stored, 'png'), profile));
      for (const place of ['first', 'last', 'first'] as const) {
        assert.equal(largestDifference(await decodeImage(withJpegProfile(jpeg, profile, place)), converted), 0);
      }
    }
  });
  it('a damaged profile is left aside', async () => {
    const png = withProfile(await encode(picture, 'png'), Buffer.alloc(200, 7));
    assert.equal(largestDifference(await decodeImage(png), picture), 0);
  });
});

describe('EXIF orientation is applied', () => {
  // EXIF 2.32, tag 274: which visual side the stored row 0 and column 0 are; here as stored coordinates of a visual pixel.
  const stored: Record<number, (x: number, y: number, w: number, h: number) => readonly [number, number]> = {
    1: (x, y) => [x, y],
    2: (x, y, w) => [w - 1 - x, y],
    3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
    4: (x, y, _w, h) => [x, h - 1 - y],
    5: (x, y) => [y, x],
    6: (x, y, w) => [y, w - 1 - x],
    7: (x, y, w, h) => [h - 1 - y, w - 1 - x],
    8: (x, y, _w, h) => [h - 1 - y, x],
  };
  for (const [orientation, at] of Object.entries(stored)) {
    it(`orientation ${orientation}`, async () => {
      const upright = noise(7, 4);
      const turned = Number(orientation) >= 5;
      const [width, height] = turned ? [4, 7] : [7, 4];
      const data = new Uint8Array(upright.data.length);
      for (let y = 0; y < upright.height; y++) {
        for (let x = 0; x < upright.width; x++) {
          const [column, row] = at(x, y, upright.width, upright.height);
          for (let c = 0; c < 3; c++) {
            data[(row * width + column) * 3 + c] = upright.data[(y * upright.width + x) * 3 + c]!;
          }
        }
      }
      const file = await open({ width, height, data })
        .withMetadata({ orientation: Number(orientation) })
        .png()
        .toBuffer();
      assert.equal(largestDifference(await decodeImage(file), upright), 0);
    });
  }
});

describe('what is refused, by content and never by name', () => {
  const refused: Record<string, readonly [Uint8Array | string, RegExp]> = {
    text: ['just some words\nin a file named cat.jpg', /^The content is text, /],
    'an SVG drawing': [
      '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
      /an SVG drawing/,
    ],
    'an HTML page': ['<!DOCTYPE html><html><body><img src="cat.jpg"></body></html>', /an HTML page/],
    'an XML document': ['<?xml version="1.0"?><note/>', /an XML document/],
    'a PDF document': ['%PDF-1.7\n%\xe2\xe3\xcf\xd3\n', /a PDF document/],
    'a ZIP archive': ['PK\x03\x04\x14\0\0\0', /a ZIP archive/],
    'a BMP image': ['BM\x46\0\0\0\0\0\0\0\x36\0\0\0', /a BMP image/],
    'an HEIC image': ['\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\0', /an HEIC image/],
    'a video': ['\0\0\0\x18ftypisom\0\0\x02\0isommp41\0\0\0\0', /a video/],
    'a JPEG XL image': ['\xff\x0a\x41\x42\x43', /a JPEG XL image/],
    'unknown bytes': ['\x01\x02\x03\x04\x05\x06\x07\x08', /of an unknown format/],
    'a WAVE file': ['RIFF\x24\0\0\0WAVEfmt ', /unknown format/],
  };
  for (const [name, [content, message]] of Object.entries(refused)) {
    it(name, () => assertRefused(Buffer.from(content as string, 'latin1'), 'IMAGE_UNSUPPORTED', message));
  }
  it('an empty file', () => assertRefused(new Uint8Array(0), 'IMAGE_EMPTY', /empty/));
  it('libvips itself reads nothing else in a hardened process', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    await assert.rejects(sharp(svg).raw().toBuffer(), /unsupported image format/);
  });
});

describe('a file that ends too early is told from a damaged one', () => {
  for (const format of FORMATS) {
    it(`${format.toUpperCase()} cut anywhere in its first nine tenths is IMAGE_TRUNCATED`, async () => {
      const whole = await encode(noise(64, 48), format);
      // Before the magic number is complete, AVIF is any ISO media file.
      const least = format === 'avif' ? 16 : 2;
      for (let part = 0; part < 40; part++) {
        const length = least + Math.floor(((whole.length * 0.9 - least) * part) / 39);
        const error = await refusal(whole.subarray(0, length));
        assert.equal(error.code, 'IMAGE_TRUNCATED', `${length} of ${whole.length} bytes: ${error.message}`);
      }
    });
    it(`${format.toUpperCase()} cut near its end gives the image or IMAGE_TRUNCATED`, async () => {
      const whole = await encode(noise(64, 48), format);
      for (let missing = 1; missing <= 40; missing++) {
        await decodeImage(whole.subarray(0, whole.length - missing)).then(
          image => assert.deepEqual([image.width, image.height], [64, 48]),
          error => assert.equal(error.code, 'IMAGE_TRUNCATED', `${missing} bytes missing: ${error.message}`),
        );
      }
    });
  }
  it('says after how many bytes', async () => {
    const jpeg = await encode(picture, 'jpeg');
    await assertRefused(jpeg.subarray(0, 500), 'IMAGE_TRUNCATED', /^The JPEG image ends too early, after 500 bytes$/);
  });
  it('a PNG with a damaged header is IMAGE_CORRUPT', async () => {
    const png = await encode(picture, 'png');
    png[25] = 77;
    await assertRefused(png, 'IMAGE_CORRUPT', /^The PNG image is damaged and cannot be decoded$/);
  });
  it('a PNG with damaged pixels is IMAGE_CORRUPT', async () => {
    const png = await encode(noise(64, 48), 'png');
    png.fill(0x55, 200, 400);
    await assertRefused(png, 'IMAGE_CORRUPT', /damaged/);
  });
  it('a JPEG without quantisation tables is IMAGE_CORRUPT', async () => {
    const jpeg = await encode(picture, 'jpeg');
    // Marker FFDB turned into an application segment.
    for (let i = 0; i < 600; i++) if (jpeg[i] === 0xff && jpeg[i + 1] === 0xdb) jpeg[i + 1] = 0xef;
    await assertRefused(jpeg, 'IMAGE_CORRUPT', /damaged/);
  });
});

describe('limits hold before anything is decoded', () => {
  const tooMany = 'IMAGE_TOO_MANY_PIXELS';
  it('bytes', async () => {
    const png = await encode(picture, 'png');
    const error = await refusal(png, { ...DEFAULT_LIMITS, maxBytes: png.length - 1 });
    assert.equal(error.code, 'IMAGE_TOO_MANY_BYTES');
    assert.equal(error.message, `The file has ${png.length} bytes; the limit is ${png.length - 1}`);
    await decodeImage(png, { ...DEFAULT_LIMITS, maxBytes: png.length });
  });
  for (const format of FORMATS) {
    it(`pixels of ${format.toUpperCase()}: as many as the limit, and not one more`, async () => {
      const file = await encode(noise(64, 48), format);
      await decodeImage(file, { ...DEFAULT_LIMITS, maxPixels: 64 * 48 });
      assert.equal((await refusal(file, { ...DEFAULT_LIMITS, maxPixels: 64 * 48 - 1 })).code, tooMany);
    });
  }
  it('pixels of BigTIFF, whose header libvips reads', async () => {
    const file = await open(noise(64, 48)).tiff({ bigtiff: true }).toBuffer();
    assert.equal((await refusal(file, { ...DEFAULT_LIMITS, maxPixels: 1000 })).code, tooMany);
  });
  it('a PNG whose header claims 100,000 x 100,000', () =>
    assertRefused(
      blackPng(100_000, 100_000, 1),
      tooMany,
      /^The PNG header claims 100000 x 100000 pixels; the limit is 100000000$/,
    ));
  it('the same with a wrong checksum', () => {
    const png = blackPng(100_000, 100_000, 1);
    png[30]! ^= 1;
    return assertRefused(png, tooMany, /100000 x 100000/);
  });
  it('a PNG bomb: 144 megapixels in 18 kB', () => assertRefused(blackPng(12_000, 12_000), tooMany, /12000 x 12000/));
  it('a JPEG that claims 65,535 x 65,535', async () => {
    const jpeg = await encode(picture, 'jpeg');
    const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
    jpeg.writeUInt32BE(0xffffffff, frame + 5);
    await assertRefused(jpeg, tooMany, /JPEG header claims 65535 x 65535/);
  });
  it('a GIF that claims 65,535 x 65,535', async () => {
    const gif = await encode(picture, 'gif');
    gif.writeUInt32LE(0xffffffff, 6);
    await assertRefused(gif, tooMany, /GIF header claims 65535 x 65535/);
  });
  for (const [lossless, claim] of [
    [true, '16384 x 16384'],
    [false, '16383 x 16383'],
  ] as const) {
    it(`a ${lossless ? 'lossless' : 'lossy'} WebP that claims ${claim}`, async () => {
      const webp = await open(picture).webp({ lossless }).toBuffer();
      if (lossless) webp.writeUInt32LE(0x0fffffff, 21);
      else webp.writeUInt32LE(0x3fff3fff, 26);
      await assertRefused(webp, tooMany, new RegExp(`WebP header claims ${claim}`));
    });
  }
  it('an extended WebP that claims 2^24 x 2^24', async () => {
    const webp = await sharp({ create: { width: 9, height: 9, channels: 4, background: '#12345678' } })
      .webp()
      .toBuffer();
    assert.equal(webp.toString('latin1', 12, 16), 'VP8X');
    webp.fill(0xff, 24, 30);
    await assertRefused(webp, tooMany, /WebP header claims 16777216 x 16777216/);
  });
  it('a tiled TIFF that claims 1,000,000 x 1,000,000', async () => {
    const tiff = await open(picture).tiff({ tile: true }).toBuffer();
    const directory = tiff.readUInt32LE(4);
    for (let entry = 0; entry < tiff.readUInt16LE(directory); entry++) {
      const at = directory + 2 + 12 * entry;
      if (![256, 257].includes(tiff.readUInt16LE(at))) continue;
      tiff.writeUInt16LE(4, at + 2);
      tiff.writeUInt32LE(1_000_000, at + 8);
    }
    await assertRefused(tiff, tooMany, /TIFF header claims 1000000 x 1000000/);
  });
  it('time: 90 interlaced megapixels with a profile take several seconds, so one second ends them', async () => {
    const png = await sharp({ create: { width: 9500, height: 9500, channels: 3, background: '#123456' } })
      .withIccProfile('p3')
      .png({ progressive: true, compressionLevel: 1 })
      .toBuffer();
    const error = await refusal(png, { ...DEFAULT_LIMITS, timeoutSeconds: 1 });
    assert.equal(error.code, 'IMAGE_TIMEOUT');
    assert.equal(error.message, 'Decoding the PNG image took longer than 1 s');
  });
  it('limits out of range are bad settings', async () => {
    for (const limits of [{ maxPixels: 0 }, { maxBytes: 1.5 }, { timeoutSeconds: 4000 }]) {
      const error = await refusal(new Uint8Array(1), { ...DEFAULT_LIMITS, ...limits });
      assert.equal(error.code, 'SETTINGS_INVALID');
      assert.match(error.message, /^Expected a whole number from 1 to \d+ for \w+ but received /);
    }
  });
});

describe('damaged bytes', () => {
  const codes: readonly ErrorCode[] = [
    'IMAGE_CORRUPT',
    'IMAGE_TRUNCATED',
    'IMAGE_UNSUPPORTED',
    'IMAGE_TOO_MANY_PIXELS',
    'IMAGE_TIMEOUT',
  ];
  for (const format of FORMATS) {
    it(`${format.toUpperCase()} gives an image or an error verdict's code, whatever bytes change`, async () => {
      const whole = await encode(noise(40, 30), format);
      const change = fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255));
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), fc.nat(3), async (changes, region) => {
          const damaged = Buffer.from(whole);
          // Headers are short but hold most of what can go wrong: three of four times the changes fall there.
          const reach = region === 0 ? whole.length : Math.min(whole.length, 200);
          for (const [position, value] of changes) damaged[Math.floor(position * reach)] = value;
          try {
            const image = await decodeImage(damaged, { ...DEFAULT_LIMITS, maxPixels: 4_000_000 });
            assert.equal(image.data.length, image.width * image.height * 3);
          } catch (error) {
            assert.ok(error instanceof DeflectorError && codes.includes(error.code), String(error));
          }
        }),
        { numRuns: 150 },
      );
    });
  }
  it('noise behind a magic number never crashes', async () => {
    const magics = await Promise.all(FORMATS.map(async format => (await encode(picture, format)).subarray(0, 32)));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...magics), fc.uint8Array({ maxLength: 300 }), async (magic, tail) => {
        await assert.rejects(decodeImage(Buffer.concat([magic, tail])), DeflectorError);
      }),
      { numRuns: 200 },
    );
  });
  it('the format is told of any bytes without throwing', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), bytes => void sniffFormat(bytes)));
  });
});
