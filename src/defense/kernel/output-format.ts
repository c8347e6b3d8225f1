/** From a tensor's format to the numbers that the kernel writes it with: `Format` in assembly/haar-inverse.ts. */
import { invalid } from '../../errors.js';
import { RGB_FROM_YCBCR, YCBCR_FROM_RGB } from '../colour.js';
import type { TensorFormat } from '../defender.js';

/** Numbers in `Format`. */
export const FORMAT_LENGTH = 22;

/** Numbers of `layout` in assembly/haar-inverse.ts. */
const LAYOUT = { planarRgb: 0, interleavedRgb: 1, interleavedBgr: 2, planarBgr: 3 } as const;

/** @returns the kernel's number of the format's layout */
export function layoutOf(format: TensorFormat): number {
  if (format.layout === 'nchw') return format.channels === 'rgb' ? LAYOUT.planarRgb : LAYOUT.planarBgr;
  return format.channels === 'rgb' ? LAYOUT.interleavedRgb : LAYOUT.interleavedBgr;
}

/**
 * Writes the leading 16 numbers of `Format`; the bounds of the planes are each run's own.
 *
 * The matrix carries the scale. The bias of channel c is bias / scale on the [0,1] scale: taken to Y, Cb, Cr it is added
 * to the coarsest approximation alone, and reaches every pixel by the inverse transform.
 *
 * @throws DeflectorError SETTINGS_INVALID for a scale that is 0 or not a number
 */
export function writeFormat(format: TensorFormat, into: Float32Array): void {
  const { scale, bias } = format;
  for (const value of scale) {
    if (!Number.isFinite(value) || value === 0) throw invalid('scale', 'finite numbers other than 0', value);
  }
  for (const value of bias) if (!Number.isFinite(value)) throw invalid('bias', 'finite numbers', value);
  const shift = bias.map((value, c) => value / scale[c]!);
  YCBCR_FROM_RGB.forEach((row, plane) => {
    into[plane] = row[0] * shift[0]! + row[1] * shift[1]! + row[2] * shift[2]!;
  });
  const [red, green, blue] = RGB_FROM_YCBCR;
  // Cb in R (1e-9) and Cr in B (1e-8) are what the standard's digits leave over, 1.3e-6 at most: they count as 0.
  into[3] = red[0] * scale[0];
  into[4] = red[2] * scale[0];
  into[5] = green[0] * scale[1];
  into[6] = green[1] * scale[1];
  into[7] = green[2] * scale[1];
  into[8] = blue[0] * scale[2];
  into[9] = blue[1] * scale[2];
  for (let c = 0; c < 3; c++) {
    const black = bias[c]!;
    const white = scale[c]! + black;
    into[10 + 2 * c] = Math.min(black, white);
    into[11 + 2 * c] = Math.max(black, white);
  }
}
