/** Reads arrays of pixels that NumPy wrote. */
import { DeflectorError } from '../errors.js';
import type { RgbImage } from '../types.js';

const MAGIC = '\x93NUMPY';

/** Sizes of the element types that pixels come in. */
const ELEMENTS: Readonly<Record<string, number>> = { '|u1': 1, '<f4': 4, '<f8': 8 };

/**
 * An image from a .npy file (NumPy Enhancement Proposal 1): [height, width, 3], RGB, in C order; bytes, or floating point on the
 * [0,1] scale, which is rounded to 8 bits and cut off at its ends.
 *
 * @throws DeflectorError IMAGE_UNSUPPORTED for another shape or type, IMAGE_TRUNCATED
 */
export function decodeNpyImage(bytes: Uint8Array): RgbImage {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (file.toString('latin1', 0, 6) !== MAGIC || file.length < 12) throw unsupported('no .npy file');
  const long = file[6]! > 1;
  const start = long ? 12 : 10;
  const end = start + (long ? file.readUInt32LE(8) : file.readUInt16LE(8));
  const header = file.toString('latin1', start, end);
  const type = /'descr':\s*'([^']+)'/.exec(header)?.[1] ?? '';
  const shape = (/'shape':\s*\(([^)]*)\)/.exec(header)?.[1] ?? '')
    .split(',')
    .filter(part => part.trim() !== '')
    .map(Number);
  const [height, width, channels] = shape;
  const size = ELEMENTS[type];
  const isImage = shape.length === 3 && channels === 3 && height! > 0 && width! > 0;
  if (size === undefined || !isImage || /'fortran_order':\s*True/.test(header)) {
    throw unsupported(`${type} (${shape.join(', ')})`);
  }
  const count = height! * width! * 3;
  if (file.length < end + count * size) {
    throw new DeflectorError('IMAGE_TRUNCATED', `The array ends after ${file.length - end} of ${count * size} bytes`);
  }
  const level = (value: number) => Math.floor(Math.min(Math.max(value, 0), 1) * 255 + 0.5);
  const data = Uint8Array.from({ length: count }, (_, i) => {
    const at = end + i * size;
    if (size === 1) return file[at]!;
    return level(size === 4 ? file.readFloatLE(at) : file.readDoubleLE(at));
  });
  return { width: width!, height: height!, data };
}

function unsupported(what: string): DeflectorError {
  return new DeflectorError(
    'IMAGE_UNSUPPORTED',
    `Expected a .npy array [height, width, 3] of bytes or floating point but received ${what}`,
  );
}
