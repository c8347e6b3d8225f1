/**
 * Denoising by thresholding an 8x8 block DCT. Yu and Sapiro, 'DCT Image Denoising: a Simple and Effective Image Denoising
 * Algorithm', IPOL 2011: an orthonormal 3-point DCT across the channels, an orthonormal 8x8 DCT of each block, hard
 * thresholding at 3 sigma, and back; where blocks overlap, the mean of what they say. Table 4 of the Pixel Deflection
 * paper has a block DCT (`PD + R-CAM + DCT`) without its parameters; sigma 0.04 is the one of its wavelets.
 */
import { mirrorWithEdge, plane } from './planes.js';
import { choice, decimal, defineStep, integer } from './step.js';

const BLOCK = 8;

export interface BlockDctParameters {
  /** Noise standard deviation on the [0,1] scale; the threshold is three times that. */
  readonly sigma: number;
  /** Step between blocks, 1 to 8: 8 puts them side by side, as JPEG does; 1 takes all. */
  readonly step: number;
  readonly threshold: 'hard' | 'soft';
}

const BASIS = Float64Array.from({ length: BLOCK * BLOCK }, (_, i) => {
  const k = i >> 3;
  return Math.sqrt((k === 0 ? 1 : 2) / BLOCK) * Math.cos((Math.PI * k * (2 * (i & 7) + 1)) / (2 * BLOCK));
});

/**
 * Denoises in place. The mean of a block is kept as it is.
 *
 * @param planes float32, planar [3, height, width]
 */
function denoiseBlockDct(planes: Float32Array, width: number, height: number, parameters: BlockDctParameters): void {
  const channels = [0, 1, 2].map(c => plane(planes, c, width, height)) as [Float32Array, Float32Array, Float32Array];
  decorrelate(...channels);
  for (const values of channels) denoisePlane(values, width, height, parameters);
  correlate(...channels);
  for (let i = 0; i < planes.length; i++) planes[i] = Math.min(1, Math.max(0, planes[i]!));
}

const [A, B, C] = [1 / Math.sqrt(3), 1 / Math.SQRT2, 1 / Math.sqrt(6)] as const;

function decorrelate(red: Float32Array, green: Float32Array, blue: Float32Array): void {
  for (let i = 0; i < red.length; i++) {
    const [r, g, b] = [red[i]!, green[i]!, blue[i]!];
    red[i] = A * (r + g + b);
    green[i] = B * (r - b);
    blue[i] = C * (r - 2 * g + b);
  }
}

function correlate(first: Float32Array, second: Float32Array, third: Float32Array): void {
  for (let i = 0; i < first.length; i++) {
    const [u, v, w] = [A * first[i]!, B * second[i]!, C * third[i]!];
    first[i] = u + v + w;
    second[i] = u - 2 * w;
    third[i] = u - v + w;
  }
}

function denoisePlane(
  values: Float32Array,
  width: number,
  height: number,
  { sigma, step, threshold }: BlockDctParameters,
): void {
  const sums = new Float64Array(values.length);
  const counts = new Uint16Array(values.length);
  const block = new Float64Array(BLOCK * BLOCK);
  const limit = 3 * sigma;
  const rows = Int32Array.from({ length: height + BLOCK }, (_, y) => mirrorWithEdge(y, height));
  const columns = Int32Array.from({ length: width + BLOCK }, (_, x) => mirrorWithEdge(x, width));
  for (const top of starts(height, step)) {
    for (const left of starts(width, step)) {
      for (let i = 0; i < 64; i++) block[i] = values[rows[top + (i >> 3)]! * width + columns[left + (i & 7)]!]!;
      transform(block, false);
      for (let i = 1; i < 64; i++) {
        const magnitude = Math.abs(block[i]!);
        if (magnitude < limit) block[i] = 0;
        else if (threshold === 'soft') block[i] = Math.sign(block[i]!) * (magnitude - limit);
      }
      transform(block, true);
      for (let i = 0; i < 64; i++) {
        const y = top + (i >> 3);
        const x = left + (i & 7);
        if (y >= height || x >= width) continue;
        sums[y * width + x]! += block[i]!;
        counts[y * width + x]!++;
      }
    }
  }
  for (let i = 0; i < values.length; i++) values[i] = sums[i]! / counts[i]!;
}

/** First rows (or columns) of the blocks; the last block ends with the image. */
function starts(length: number, step: number): number[] {
  const last = Math.max(0, length - BLOCK);
  return [...Array.from({ length: Math.ceil(last / step) }, (_, i) => i * step), last];
}

const half = new Float64Array(BLOCK * BLOCK);

/** Rows, then columns; each pass reads rows and writes columns. */
function transform(block: Float64Array, inverse: boolean): void {
  const pass = inverse ? inversePass : forwardPass;
  pass(block, half);
  pass(half, block);
}

/** Even coefficients see the sums of mirrored samples only, odd ones the differences. */
function forwardPass(from: Float64Array, to: Float64Array): void {
  for (let row = 0; row < 8; row++) {
    const at = row * 8;
    const s0 = from[at]! + from[at + 7]!;
    const s1 = from[at + 1]! + from[at + 6]!;
    const s2 = from[at + 2]! + from[at + 5]!;
    const s3 = from[at + 3]! + from[at + 4]!;
    const d0 = from[at]! - from[at + 7]!;
    const d1 = from[at + 1]! - from[at + 6]!;
    const d2 = from[at + 2]! - from[at + 5]!;
    const d3 = from[at + 3]! - from[at + 4]!;
    for (let k = 0; k < 64; k += 16) {
      to[k + row] = s0 * BASIS[k]! + s1 * BASIS[k + 1]! + s2 * BASIS[k + 2]! + s3 * BASIS[k + 3]!;
      to[k + 8 + row] = d0 * BASIS[k + 8]! + d1 * BASIS[k + 9]! + d2 * BASIS[k + 10]! + d3 * BASIS[k + 11]!;
    }
  }
}

function inversePass(from: Float64Array, to: Float64Array): void {
  for (let row = 0; row < 8; row++) {
    const at = row * 8;
    for (let x = 0; x < 4; x++) {
      const even =
        from[at]! * BASIS[x]! +
        from[at + 2]! * BASIS[16 + x]! +
        from[at + 4]! * BASIS[32 + x]! +
        from[at + 6]! * BASIS[48 + x]!;
      const odd =
        from[at + 1]! * BASIS[8 + x]! +
        from[at + 3]! * BASIS[24 + x]! +
        from[at + 5]! * BASIS[40 + x]! +
        from[at + 7]! * BASIS[56 + x]!;
      to[x * 8 + row] = even + odd;
      to[(7 - x) * 8 + row] = even - odd;
    }
  }
}

export const blockDct = defineStep({
  name: 'dct',
  parameters: { sigma: decimal(0.04, 0, 10), step: integer(8, 1, 8), threshold: choice('hard', 'soft') },
  apply(planes, width, height, parameters) {
    denoiseBlockDct(planes, width, height, parameters);
  },
});
