/**
 * Embedded colour profiles that convert nothing. Most profiles in photographs are that of sRGB itself, in some edition;
 * libvips converts by them pixel by pixel, for the price of decoding half an image, and every pixel stays as it is.
 *
 * Whether a profile is of that kind is not read from its texts or tables: the conversion itself is asked, once a
 * profile, with an image of many colours. Profiles reach JPEG files in application segments (ICC.1:2022, B.4), which
 * can be copied from one file to the next as they are.
 */
import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { ascii, jpegSegments } from './format.js';

/** Side of the image that is converted: each value of a channel comes 144 times, beside as many others. */
const PROBE_SIDE = 192;
/** Larger profiles hold tables; they are left to libvips without asking. */
const MOST_BYTES = 32 * 1024;
/** Profiles whose answers are kept. Cameras and programs write few; files from anywhere may bring any number. */
const PROFILES_KEPT = 64;

const MARKER_APP2 = 0xe2;
const SIGNATURE = 'ICC_PROFILE\0';
const AFTER_START_OF_IMAGE = 2;

const answers = new Map<string, Promise<boolean>>();
let probe: Promise<Buffer> | undefined;

/**
 * Whether the profile in a JPEG file of three components leaves all colours as they are.
 *
 * @returns false where the file has no profile, is grey or CMYK, or its header cannot be followed
 */
export async function hasIdleProfile(jpeg: Uint8Array): Promise<boolean> {
  const segments = profileSegments(jpeg);
  if (segments === undefined) return false;
  const key = createHash('sha256').update(segments).digest('base64');
  const known = answers.get(key);
  if (known !== undefined) return known;
  const answer = leavesColours(segments).catch(() => false);
  answers.set(key, answer);
  if (answers.size > PROFILES_KEPT) answers.delete(answers.keys().next().value!);
  return answer;
}

/** The segments of the profile as they stand in the file. */
function profileSegments(jpeg: Uint8Array): Buffer | undefined {
  const { buffer, byteOffset } = jpeg;
  const parts: Buffer[] = [];
  let length = 0;
  let components = 0;
  try {
    for (const { code, isFrame, start, end } of jpegSegments(jpeg)) {
      if (isFrame) components = jpeg[start + 9]!;
      if (code !== MARKER_APP2 || ascii(jpeg, start + 4, SIGNATURE.length) !== SIGNATURE) continue;
      length += end - start;
      if (length > MOST_BYTES) return undefined;
      parts.push(Buffer.from(buffer, byteOffset + start, end - start));
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  return components === 3 && parts.length > 0 ? Buffer.concat(parts) : undefined;
}

async function leavesColours(segments: Buffer): Promise<boolean> {
  probe ??= makeProbe();
  const plain = await probe;
  const tagged = Buffer.concat([
    plain.subarray(0, AFTER_START_OF_IMAGE),
    segments,
    plain.subarray(AFTER_START_OF_IMAGE),
  ]);
  const [converted, ignored] = await Promise.all([
    sharp(tagged).toColourspace('srgb').raw().toBuffer(),
    sharp(tagged, { ignoreIcc: true }).toColourspace('srgb').raw().toBuffer(),
  ]);
  return converted.equals(ignored);
}

/** A JPEG of noise: the top byte of multiples of 2^32 over the golden ratio. */
function makeProbe(): Promise<Buffer> {
  const length = PROBE_SIDE * PROBE_SIDE * 3;
  const noise = Uint8Array.from({ length }, (_, i) => Math.imul(i, 2654435761 | 0) >>> 24);
  return sharp(noise, { raw: { width: PROBE_SIDE, height: PROBE_SIDE, channels: 3 } })
    .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
    .toBuffer();
}
