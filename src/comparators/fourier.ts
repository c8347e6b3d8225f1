/**
 * Discrete Fourier transform of any length, by Stockham's self-sorting algorithm with one pass a prime factor (Cochran
 * et al., 'What Is the Fast Fourier Transform?', Proc. IEEE 55(10), 1967). A pass over a factor p costs p operations a
 * value, so lengths with small factors are fast: 224 = 2^5 * 7.
 */

/** A complex plane: real and imaginary parts, [height, width]. */
export interface Spectrum {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/**
 * Two-dimensional transform in place, not scaled.
 *
 * @param direction 1: exp(-2 pi i ...); -1: the inverse, to be divided by width * height
 */
export function fourier2d({ re, im }: Spectrum, width: number, height: number, direction: 1 | -1): void {
  const spare = { re: new Float64Array(re.length), im: new Float64Array(re.length) };
  along(re, im, spare, height, width, direction);
  transpose(re, spare.re, width, height);
  transpose(im, spare.im, width, height);
  re.set(spare.re);
  im.set(spare.im);
  along(re, im, spare, width, height, direction);
  transpose(re, spare.re, height, width);
  transpose(im, spare.im, height, width);
  re.set(spare.re);
  im.set(spare.im);
}

function transpose(from: Float64Array, to: Float64Array, width: number, height: number): void {
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) to[x * height + y] = from[y * width + x]!;
}

/** Transforms of length `length` down the columns of a plane `lanes` wide. */
function along(
  re: Float64Array,
  im: Float64Array,
  spare: Spectrum,
  length: number,
  lanes: number,
  direction: 1 | -1,
): void {
  const cos = Float64Array.from({ length }, (_, i) => Math.cos((2 * Math.PI * i) / length));
  const sin = Float64Array.from({ length }, (_, i) => -direction * Math.sin((2 * Math.PI * i) / length));
  let from: Spectrum = { re, im };
  let to = spare;
  let rest = length;
  let stride = lanes;
  for (const factor of primeFactors(length)) {
    pass(from, to, rest, stride, factor, cos, sin);
    [from, to] = [to, from];
    rest /= factor;
    stride *= factor;
  }
  if (from.re !== re) {
    re.set(from.re);
    im.set(from.im);
  }
}

/** One decimation in frequency: transforms of length `rest`, `stride` of them side by side, split by `factor`. */
function pass(
  from: Spectrum,
  to: Spectrum,
  rest: number,
  stride: number,
  factor: number,
  cos: Float64Array,
  sin: Float64Array,
): void {
  const length = cos.length;
  const count = rest / factor;
  const spacing = length / rest;
  const { re: inRe, im: inIm } = from;
  const { re: outRe, im: outIm } = to;
  if (factor === 2) {
    for (let k = 0; k < count; k++) {
      const [c, s] = [cos[k * spacing]!, sin[k * spacing]!];
      const [first, second] = [stride * k, stride * (k + count)];
      const [sum, difference] = [2 * stride * k, stride * (2 * k + 1)];
      for (let q = 0; q < stride; q++) {
        const [ar, ai] = [inRe[first + q]!, inIm[first + q]!];
        const [br, bi] = [inRe[second + q]!, inIm[second + q]!];
        outRe[sum + q] = ar + br;
        outIm[sum + q] = ai + bi;
        outRe[difference + q] = (ar - br) * c - (ai - bi) * s;
        outIm[difference + q] = (ar - br) * s + (ai - bi) * c;
      }
    }
    return;
  }
  for (let k = 0; k < count; k++) {
    for (let r = 0; r < factor; r++) {
      const out = stride * (factor * k + r);
      const turn = k * r * spacing;
      for (let j = 0; j < factor; j++) {
        const at = (turn + j * r * (length / factor)) % length;
        const c = cos[at]!;
        const s = sin[at]!;
        const base = stride * (k + count * j);
        if (j === 0) {
          for (let q = 0; q < stride; q++) {
            outRe[out + q] = inRe[base + q]! * c - inIm[base + q]! * s;
            outIm[out + q] = inRe[base + q]! * s + inIm[base + q]! * c;
          }
        } else {
          for (let q = 0; q < stride; q++) {
            outRe[out + q]! += inRe[base + q]! * c - inIm[base + q]! * s;
            outIm[out + q]! += inRe[base + q]! * s + inIm[base + q]! * c;
          }
        }
      }
    }
  }
}

function primeFactors(value: number): number[] {
  const factors: number[] = [];
  for (let factor = 2, rest = value; rest > 1; factor++) {
    while (rest % factor === 0) {
      factors.push(factor);
      rest /= factor;
    }
  }
  return factors;
}
