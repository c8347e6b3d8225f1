/**
 * Bytes to pixels, under limits. libvips (through sharp) does the decoding; what may reach it, and what a person is told
 * when it refuses, is decided here. Nothing of libvips's own messages enters ours: it collects them process-wide, so
 * that images decoded at the same time could change each other's verdicts.
 */
import sharp from 'sharp';
import { DeflectorError, invalid } from '../errors.js';
import type { RgbImage } from '../types.js';
import { hasIdleProfile } from './colour-profile.js';
import { describeContent, FORMAT_NAMES, headerSize, type ImageFormat, sniffFormat, sniffFragment } from './format.js';
import { endsEarly } from './truncation.js';

/** What one image may cost. The first two are checked before anything is decoded. */
export interface ImageLimits {
  /** Bytes of the file. */
  readonly maxBytes: number;
  /** Pixels that the header claims: width times height. */
  readonly maxPixels: number;
  /** Whole seconds that decoding may take, 1 to 3600. */
  readonly timeoutSeconds: number;
}

/** 64 MiB and 100 megapixels hold what cameras write today; decoding 100 megapixels takes a second or two. */
export const DEFAULT_LIMITS: ImageLimits = Object.freeze({
  maxBytes: 64 * 1024 * 1024,
  maxPixels: 100_000_000,
  timeoutSeconds: 30,
});

/** The loaders that `sniffFormat` can lead to. */
const LOADERS = ['Jpeg', 'Png', 'Webp', 'Heif', 'Tiff', 'Nsgif'].map(name => `VipsForeignLoad${name}Buffer`);

/**
 * Sets libvips up for decoding many untrusted images in this process: only the loaders of the formats that Deflector
 * reads, and those only from memory; no cache, since no image comes twice; one thread an image, since images are
 * decoded side by side.
 *
 * The settings hold for the whole process, so a process of Deflector's own calls this at its start, and the library
 * leaves it to the program that it lives in.
 */
export function hardenDecoder(): void {
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: LOADERS });
  sharp.cache(false);
  sharp.concurrency(1);
}

/**
 * Decodes JPEG, PNG, WebP, AVIF, TIFF (first page) or GIF (first frame) to 8-bit sRGB. The format is told from the
 * content. EXIF orientation is applied, an embedded ICC profile converted to sRGB, alpha laid over white; grey, CMYK,
 * palettes and 16 bits become 8-bit RGB.
 *
 * @param bytes the file; must not change until the promise settles
 * @throws DeflectorError IMAGE_EMPTY, IMAGE_UNSUPPORTED, IMAGE_TOO_MANY_BYTES, IMAGE_TOO_MANY_PIXELS, IMAGE_TRUNCATED,
 *   IMAGE_CORRUPT, IMAGE_TIMEOUT; SETTINGS_INVALID for limits out of range
 */
export async function decodeImage(bytes: Uint8Array, limits: ImageLimits = DEFAULT_LIMITS): Promise<RgbImage> {
  checkLimits(limits);
  const format = admit(bytes, limits);
  try {
    const { data, info } = await sharp(bytes, {
      autoOrient: true,
      ignoreIcc: format === 'jpeg' && (await hasIdleProfile(bytes)),
      // As the decoders that people compare with: a file that ends early is an error, an oddity that leaves all pixels is not.
      failOn: 'error',
      limitInputPixels: limits.maxPixels,
      sequentialRead: true,
      unlimited: false,
    })
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .timeout({ seconds: limits.timeoutSeconds })
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data };
  } catch (cause) {
    throw explain(cause, format, bytes, limits);
  }
}

function checkLimits(limits: ImageLimits): void {
  const whole = (name: keyof ImageLimits, most: number) => {
    const value = limits[name];
    if (!Number.isInteger(value) || value < 1 || value > most) {
      throw invalid(name, `a whole number from 1 to ${most}`, value);
    }
  };
  whole('maxBytes', 2 ** 31 - 1);
  whole('maxPixels', 2 ** 31 - 1);
  whole('timeoutSeconds', 3600);
}

/** All that can be refused without decoding. */
function admit(bytes: Uint8Array, limits: ImageLimits): ImageFormat {
  if (bytes.length === 0) throw new DeflectorError('IMAGE_EMPTY', 'The file is empty');
  if (bytes.length > limits.maxBytes) {
    throw new DeflectorError(
      'IMAGE_TOO_MANY_BYTES',
      `The file has ${bytes.length} bytes; the limit is ${limits.maxBytes}`,
    );
  }
  const format = sniffFormat(bytes);
  if (format === undefined) {
    const fragment = sniffFragment(bytes);
    if (fragment !== undefined) throw truncated(fragment, bytes);
    throw new DeflectorError('IMAGE_UNSUPPORTED', `The content is ${describeContent(bytes)}, not a supported image`);
  }
  const size = headerSize(format, bytes);
  if (size !== undefined && size.width * size.height > limits.maxPixels) {
    throw new DeflectorError(
      'IMAGE_TOO_MANY_PIXELS',
      `The ${FORMAT_NAMES[format]} header claims ${size.width} x ${size.height} pixels; the limit is ${limits.maxPixels}`,
    );
  }
  return format;
}

/** What libvips's refusal means. Its texts are only read to tell its own limits from faults of the file. */
function explain(cause: unknown, format: ImageFormat, bytes: Uint8Array, limits: ImageLimits): DeflectorError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const name = FORMAT_NAMES[format];
  if (/^timeout/.test(reason)) {
    return new DeflectorError(
      'IMAGE_TIMEOUT',
      `Decoding the ${name} image took longer than ${limits.timeoutSeconds} s`,
      { cause },
    );
  }
  if (/exceeds pixel limit/.test(reason)) {
    return new DeflectorError(
      'IMAGE_TOO_MANY_PIXELS',
      `The ${name} image has more pixels than the limit of ${limits.maxPixels}`,
      { cause },
    );
  }
  if (/exceeds channel limit/.test(reason)) {
    return new DeflectorError('IMAGE_UNSUPPORTED', `The ${name} image has more than 5 channels`, { cause });
  }
  if (endsEarly(format, bytes)) return truncated(format, bytes, cause);
  return new DeflectorError('IMAGE_CORRUPT', `The ${name} image is damaged and cannot be decoded`, { cause });
}

function truncated(format: ImageFormat, bytes: Uint8Array, cause?: unknown): DeflectorError {
  const plural = bytes.length === 1 ? 'byte' : 'bytes';
  return new DeflectorError(
    'IMAGE_TRUNCATED',
    `The ${FORMAT_NAMES[format]} image ends too early, after ${bytes.length} ${plural}`,
    { cause },
  );
}
