/** Resampling of planes, for the comparators that change an image's geometry. */

/** Place in the source of the centre of target sample `i` (pixel centres at half integers), minus a half. */
function centre(i: number, from: number, to: number): number {
  return ((i + 0.5) * from) / to - 0.5;
}

/**
 * The nearest sample of a window of a plane.
 *
 * @param source float32, rows `stride` apart, the window beginning at `origin`
 * @returns float32 [toHeight, toWidth]
 */
export function resampleNearest(
  source: Float32Array,
  origin: number,
  stride: number,
  [width, height]: readonly [number, number],
  [toWidth, toHeight]: readonly [number, number],
): Float32Array {
  const out = new Float32Array(toWidth * toHeight);
  for (let y = 0; y < toHeight; y++) {
    const row = origin + Math.round(centre(y, height, toHeight)) * stride;
    for (let x = 0; x < toWidth; x++) out[y * toWidth + x] = source[row + Math.round(centre(x, width, toWidth))]!;
  }
  return out;
}

/** The transpose of `resampleNearest`: what each sample of the result weighs is added to where it came from. */
export function resampleNearestBack(
  gradient: Float32Array,
  source: Float32Array,
  origin: number,
  stride: number,
  [width, height]: readonly [number, number],
  [toWidth, toHeight]: readonly [number, number],
): void {
  for (let y = 0; y < toHeight; y++) {
    const row = origin + Math.round(centre(y, height, toHeight)) * stride;
    for (let x = 0; x < toWidth; x++)
      source[row + Math.round(centre(x, width, toWidth))]! += gradient[y * toWidth + x]!;
  }
}

/** For each target sample the two source samples that it lies between, and how far it is from the first to the second. */
function between(from: number, to: number): { low: Int32Array; high: Int32Array; fraction: Float64Array } {
  const low = new Int32Array(to);
  const high = new Int32Array(to);
  const fraction = new Float64Array(to);
  for (let i = 0; i < to; i++) {
    const at = Math.min(Math.max(centre(i, from, to), 0), from - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(low[i]! + 1, from - 1);
    fraction[i] = at - low[i]!;
  }
  return { low, high, fraction };
}

/** Bilinear interpolation of a window of a plane, edges repeated; arguments as above. */
export function resampleBilinear(
  source: Float32Array,
  origin: number,
  stride: number,
  [width, height]: readonly [number, number],
  [toWidth, toHeight]: readonly [number, number],
): Float32Array {
  const out = new Float32Array(toWidth * toHeight);
  const columns = between(width, toWidth);
  const rows = between(height, toHeight);
  // Rows of the source at the width of the result; most serve two rows of it.
  let upper = { row: -1, values: new Float64Array(toWidth) };
  let lower = { row: -1, values: new Float64Array(toWidth) };
  for (let y = 0; y < toHeight; y++) {
    if (upper.row !== rows.low[y]! && lower.row === rows.low[y]!) [upper, lower] = [lower, upper];
    if (upper.row !== rows.low[y]!) widen(source, origin, stride, rows.low[y]!, columns, upper);
    if (lower.row !== rows.high[y]!) widen(source, origin, stride, rows.high[y]!, columns, lower);
    const [above, below] = [upper.values, lower.values];
    const down = rows.fraction[y]!;
    for (let x = 0, to = y * toWidth; x < toWidth; x++, to++) out[to] = above[x]! + down * (below[x]! - above[x]!);
  }
  return out;
}

/** One row of a window, interpolated. */
function widen(
  source: Float32Array,
  origin: number,
  stride: number,
  row: number,
  { low, high, fraction }: ReturnType<typeof between>,
  into: { row: number; readonly values: Float64Array },
): void {
  const from = origin + row * stride;
  const { values } = into;
  for (let x = 0; x < values.length; x++) {
    const left = source[from + low[x]!]!;
    values[x] = left + fraction[x]! * (source[from + high[x]!]! - left);
  }
  into.row = row;
}

/** The transpose of `resampleBilinear`, added to `source`. */
export function resampleBilinearBack(
  gradient: Float32Array,
  source: Float32Array,
  origin: number,
  stride: number,
  [width, height]: readonly [number, number],
  [toWidth, toHeight]: readonly [number, number],
): void {
  const { low, high, fraction } = between(width, toWidth);
  const rows = between(height, toHeight);
  for (let y = 0; y < toHeight; y++) {
    const upper = origin + rows.low[y]! * stride;
    const lower = origin + rows.high[y]! * stride;
    const down = rows.fraction[y]!;
    for (let x = 0, from = y * toWidth; x < toWidth; x++, from++) {
      const [left, right, share] = [low[x]!, high[x]!, fraction[x]!];
      const above = (1 - down) * gradient[from]!;
      const below = down * gradient[from]!;
      source[upper + left]! += (1 - share) * above;
      source[upper + right]! += share * above;
      source[lower + left]! += (1 - share) * below;
      source[lower + right]! += share * below;
    }
  }
}

/** For each target sample the first source sample that a triangle of twice the ratio's width reaches, and all weights. */
function triangles(from: number, to: number): { first: Int32Array; taps: number; weights: Float64Array } {
  const ratio = from / to;
  const taps = 2 * Math.ceil(ratio) + 1;
  const first = new Int32Array(to);
  const weights = new Float64Array(to * taps);
  for (let i = 0; i < to; i++) {
    const at = centre(i, from, to);
    const start = Math.max(0, Math.ceil(at - ratio));
    const end = Math.min(from - 1, Math.floor(at + ratio));
    let sum = 0;
    for (let k = start; k <= end; k++) sum += 1 - Math.abs(k - at) / ratio;
    // What lies beyond the image has no weight; places that are not reached keep a weight of 0 inside it.
    first[i] = Math.max(0, Math.min(start, from - taps));
    for (let k = start; k <= end; k++) weights[i * taps + k - first[i]!] = (1 - Math.abs(k - at) / ratio) / sum;
  }
  return { first, taps, weights };
}

/**
 * Shrinks a plane, each sample the mean of what it covers by a triangle as wide as two samples of the result.
 *
 * @param source float32 [height, width]
 * @param to width and height of the result, at most those of the source
 * @returns float32 [toHeight, toWidth]
 */
export function shrinkTriangle(
  source: Float32Array,
  [width, height]: readonly [number, number],
  [toWidth, toHeight]: readonly [number, number],
): Float32Array {
  const across = triangles(width, toWidth);
  const down = triangles(height, toHeight);
  const narrow = new Float64Array(toWidth * height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < toWidth; x++, to++) {
      const from = y * width + across.first[x]!;
      let sum = 0;
      for (let k = 0; k < across.taps && across.first[x]! + k < width; k++) {
        sum += across.weights[x * across.taps + k]! * source[from + k]!;
      }
      narrow[to] = sum;
    }
  }
  const out = new Float32Array(toWidth * toHeight);
  for (let y = 0; y < toHeight; y++) {
    const row = y * toWidth;
    for (let k = 0; k < down.taps && down.first[y]! + k < height; k++) {
      const weight = down.weights[y * down.taps + k]!;
      const from = (down.first[y]! + k) * toWidth;
      for (let x = 0; x < toWidth; x++) out[row + x]! += weight * narrow[from + x]!;
    }
  }
  return out;
}

/**
 * The transpose of `shrinkTriangle`.
 *
 * @param gradient float32 [toHeight, toWidth]
 * @returns float32 [height, width]
 */
export function shrinkTriangleBack(
  gradient: Float32Array,
  [width, height]: readonly [number, number],
  [toWidth, toHeight]: readonly [number, number],
): Float32Array {
  const across = triangles(width, toWidth);
  const down = triangles(height, toHeight);
  const narrow = new Float64Array(toWidth * height);
  for (let y = 0; y < toHeight; y++) {
    for (let k = 0; k < down.taps && down.first[y]! + k < height; k++) {
      const weight = down.weights[y * down.taps + k]!;
      const to = (down.first[y]! + k) * toWidth;
      for (let x = 0; x < toWidth; x++) narrow[to + x]! += weight * gradient[y * toWidth + x]!;
    }
  }
  const source = new Float32Array(width * height);
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0; x < toWidth; x++, from++) {
      const to = y * width + across.first[x]!;
      for (let k = 0; k < across.taps && across.first[x]! + k < width; k++) {
        source[to + k]! += across.weights[x * across.taps + k]! * narrow[from]!;
      }
    }
  }
  return source;
}
