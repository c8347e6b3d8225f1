/**
 * The forward Haar transform of a whole image (PyWavelets db1, mode 'symmetric': an odd length repeats its last sample).
 *
 * It runs on the sums of 8-bit R, G, B, in integers; only the details are then taken to Y, Cb, Cr, by one matrix. So each
 * coefficient is rounded once, and the coefficients and second moments that a run finds from the pixels it touches are
 * those of a whole transform, bit for bit.
 *
 * Details are kept in units of pixels: 2^-level times the orthonormal ones, so that the inverse only adds.
 */
import {
  CB_B, CB_G, CB_R, CR_B, CR_G, CR_R, levelScale, sixteenBlues, sixteenGreens, sixteenReds, weight, Y_B, Y_G, Y_R,
} from './colour';
import {
  DETAILS, Level, LEVEL_MOMENTS, levelOf, MOMENTS, PLANE_DETAILS, SIXTEEN_PIXELS, Slot, VECTOR,
} from './slot';

/** Groups of eight blocks whose squares add up within 32 bits at level 1: 2^31 / (2 * 510^2). */
const FOLD_AFTER: i32 = 4096;

/** Adds the four lanes to a 64-bit integer in memory. */
@inline function fold(at: usize, v: v128): void {
  const pair = i64x2.add(i64x2.extend_low_i32x4_s(v), i64x2.extend_high_i32x4_s(v));
  store<i64>(at, load<i64>(at) + i64x2.extract_lane(pair, 0) + i64x2.extract_lane(pair, 1));
}

@inline function plane(r: v128, g: v128, b: v128, kr: f32, kg: f32, kb: f32): v128 {
  return f32x4.add(
    f32x4.add(f32x4.mul(r, f32x4.splat(kr)), f32x4.mul(g, f32x4.splat(kg))),
    f32x4.mul(b, f32x4.splat(kb)),
  );
}

/** Takes one band of four blocks to Y, Cb, Cr and stores it. */
@inline function storeBand(at: usize, red: v128, green: v128, blue: v128, scale: f32): void {
  const r = f32x4.convert_i32x4_s(red);
  const g = f32x4.convert_i32x4_s(green);
  const b = f32x4.convert_i32x4_s(blue);
  v128.store(at, plane(r, g, b, weight(Y_R, scale), weight(Y_G, scale), weight(Y_B, scale)));
  v128.store(at, plane(r, g, b, weight(CB_R, scale), weight(CB_G, scale), weight(CB_B, scale)), PLANE_DETAILS);
  v128.store(at, plane(r, g, b, weight(CR_R, scale), weight(CR_G, scale), weight(CR_B, scale)), 2 * PLANE_DETAILS);
}

/** Stores one band of eight blocks, given as 16-bit integers. */
@inline function storeEight(at: usize, red: v128, green: v128, blue: v128): void {
  const scale = levelScale(1);
  storeBand(at, i32x4.extend_low_i16x8_s(red), i32x4.extend_low_i16x8_s(green), i32x4.extend_low_i16x8_s(blue), scale);
  storeBand(
    at + DETAILS,
    i32x4.extend_high_i16x8_s(red),
    i32x4.extend_high_i16x8_s(green),
    i32x4.extend_high_i16x8_s(blue),
    scale,
  );
}

@inline function evens(bytes: v128): v128 {
  return v128.and(bytes, i16x8.splat(0xff));
}

@inline function odds(bytes: v128): v128 {
  return i16x8.shr_u(bytes, 8);
}

/** Level 1 of groups `first` to `end` (eight blocks each) of one row of blocks. */
function forwardPixels(top: usize, bottom: usize, sums: usize, details: usize, first: i32, end: i32, moments: usize): void {
  const zero = i32x4.splat(0);
  let hRR = zero, hGG = zero, hBB = zero, hRG = zero, hGB = zero, hBR = zero;
  let vRR = zero, vGG = zero, vBB = zero, vRG = zero, vGB = zero, vBR = zero;
  let dRR = zero, dGG = zero, dBB = zero, dRG = zero, dGB = zero, dBR = zero;
  for (let group = first; group < end; group++) {
    const offset = <usize>group * SIXTEEN_PIXELS;
    const t0 = v128.load(top + offset);
    const t1 = v128.load(top + offset, 16);
    const t2 = v128.load(top + offset, 32);
    const b0 = v128.load(bottom + offset);
    const b1 = v128.load(bottom + offset, 16);
    const b2 = v128.load(bottom + offset, 32);

    let upper = sixteenReds(t0, t1, t2);
    let lower = sixteenReds(b0, b1, b2);
    let upperSum = i16x8.add(evens(upper), odds(upper));
    let upperStep = i16x8.sub(evens(upper), odds(upper));
    let lowerSum = i16x8.add(evens(lower), odds(lower));
    let lowerStep = i16x8.sub(evens(lower), odds(lower));
    const aR = i16x8.add(upperSum, lowerSum);
    const hR = i16x8.sub(upperSum, lowerSum);
    const vR = i16x8.add(upperStep, lowerStep);
    const dR = i16x8.sub(upperStep, lowerStep);

    upper = sixteenGreens(t0, t1, t2);
    lower = sixteenGreens(b0, b1, b2);
    upperSum = i16x8.add(evens(upper), odds(upper));
    upperStep = i16x8.sub(evens(upper), odds(upper));
    lowerSum = i16x8.add(evens(lower), odds(lower));
    lowerStep = i16x8.sub(evens(lower), odds(lower));
    const aG = i16x8.add(upperSum, lowerSum);
    const hG = i16x8.sub(upperSum, lowerSum);
    const vG = i16x8.add(upperStep, lowerStep);
    const dG = i16x8.sub(upperStep, lowerStep);

    upper = sixteenBlues(t0, t1, t2);
    lower = sixteenBlues(b0, b1, b2);
    upperSum = i16x8.add(evens(upper), odds(upper));
    upperStep = i16x8.sub(evens(upper), odds(upper));
    lowerSum = i16x8.add(evens(lower), odds(lower));
    lowerStep = i16x8.sub(evens(lower), odds(lower));
    const aB = i16x8.add(upperSum, lowerSum);
    const hB = i16x8.sub(upperSum, lowerSum);
    const vB = i16x8.add(upperStep, lowerStep);
    const dB = i16x8.sub(upperStep, lowerStep);

    hRR = i32x4.add(hRR, i32x4.dot_i16x8_s(hR, hR));
    hGG = i32x4.add(hGG, i32x4.dot_i16x8_s(hG, hG));
    hBB = i32x4.add(hBB, i32x4.dot_i16x8_s(hB, hB));
    hRG = i32x4.add(hRG, i32x4.dot_i16x8_s(hR, hG));
    hGB = i32x4.add(hGB, i32x4.dot_i16x8_s(hG, hB));
    hBR = i32x4.add(hBR, i32x4.dot_i16x8_s(hB, hR));
    vRR = i32x4.add(vRR, i32x4.dot_i16x8_s(vR, vR));
    vGG = i32x4.add(vGG, i32x4.dot_i16x8_s(vG, vG));
    vBB = i32x4.add(vBB, i32x4.dot_i16x8_s(vB, vB));
    vRG = i32x4.add(vRG, i32x4.dot_i16x8_s(vR, vG));
    vGB = i32x4.add(vGB, i32x4.dot_i16x8_s(vG, vB));
    vBR = i32x4.add(vBR, i32x4.dot_i16x8_s(vB, vR));
    dRR = i32x4.add(dRR, i32x4.dot_i16x8_s(dR, dR));
    dGG = i32x4.add(dGG, i32x4.dot_i16x8_s(dG, dG));
    dBB = i32x4.add(dBB, i32x4.dot_i16x8_s(dB, dB));
    dRG = i32x4.add(dRG, i32x4.dot_i16x8_s(dR, dG));
    dGB = i32x4.add(dGB, i32x4.dot_i16x8_s(dG, dB));
    dBR = i32x4.add(dBR, i32x4.dot_i16x8_s(dB, dR));

    const at = details + <usize>group * (2 * DETAILS);
    storeEight(at, hR, hG, hB);
    storeEight(at + VECTOR, vR, vG, vB);
    storeEight(at + 2 * VECTOR, dR, dG, dB);

    // R, G, B, 0 of one block after another.
    const rgLow = i16x8.shuffle(aR, aG, 0, 8, 1, 9, 2, 10, 3, 11);
    const rgHigh = i16x8.shuffle(aR, aG, 4, 12, 5, 13, 6, 14, 7, 15);
    const bLow = i16x8.shuffle(aB, zero, 0, 8, 1, 9, 2, 10, 3, 11);
    const bHigh = i16x8.shuffle(aB, zero, 4, 12, 5, 13, 6, 14, 7, 15);
    const s01 = i32x4.shuffle(rgLow, bLow, 0, 4, 1, 5);
    const s23 = i32x4.shuffle(rgLow, bLow, 2, 6, 3, 7);
    const s45 = i32x4.shuffle(rgHigh, bHigh, 0, 4, 1, 5);
    const s67 = i32x4.shuffle(rgHigh, bHigh, 2, 6, 3, 7);
    const sum = sums + <usize>group * (8 * VECTOR);
    v128.store(sum, i32x4.extend_low_i16x8_s(s01));
    v128.store(sum, i32x4.extend_high_i16x8_s(s01), 16);
    v128.store(sum, i32x4.extend_low_i16x8_s(s23), 32);
    v128.store(sum, i32x4.extend_high_i16x8_s(s23), 48);
    v128.store(sum, i32x4.extend_low_i16x8_s(s45), 64);
    v128.store(sum, i32x4.extend_high_i16x8_s(s45), 80);
    v128.store(sum, i32x4.extend_low_i16x8_s(s67), 96);
    v128.store(sum, i32x4.extend_high_i16x8_s(s67), 112);
  }
  fold(moments, hRR);
  fold(moments + 8, hGG);
  fold(moments + 16, hBB);
  fold(moments + 32, hRG);
  fold(moments + 40, hGB);
  fold(moments + 48, hBR);
  fold(moments + MOMENTS, vRR);
  fold(moments + MOMENTS + 8, vGG);
  fold(moments + MOMENTS + 16, vBB);
  fold(moments + MOMENTS + 32, vRG);
  fold(moments + MOMENTS + 40, vGB);
  fold(moments + MOMENTS + 48, vBR);
  fold(moments + 2 * MOMENTS, dRR);
  fold(moments + 2 * MOMENTS + 8, dGG);
  fold(moments + 2 * MOMENTS + 16, dBB);
  fold(moments + 2 * MOMENTS + 32, dRG);
  fold(moments + 2 * MOMENTS + 40, dGB);
  fold(moments + 2 * MOMENTS + 48, dBR);
}

/** G, B, R, -: what the products with R, G, B, - are taken from. */
@inline export function turned(detail: v128): v128 {
  return i32x4.shuffle(detail, detail, 1, 2, 0, 3);
}

/** Adds the squares and products of one block's detail (R, G, B, - as integers) to the moments of its band. */
@inline function addMoments(at: usize, detail: v128): void {
  const other = turned(detail);
  v128.store(at, i64x2.add(v128.load(at), i64x2.extmul_low_i32x4_s(detail, detail)));
  v128.store(at, i64x2.add(v128.load(at, 16), i64x2.extmul_high_i32x4_s(detail, detail)), 16);
  v128.store(at, i64x2.add(v128.load(at, 32), i64x2.extmul_low_i32x4_s(detail, other)), 32);
  v128.store(at, i64x2.add(v128.load(at, 48), i64x2.extmul_high_i32x4_s(detail, other)), 48);
}

/** Stores one band of four blocks, each given as R, G, B, -. */
@inline function storeFour(at: usize, p: v128, q: v128, r: v128, s: v128, scale: f32): void {
  const pqLow = i32x4.shuffle(p, q, 0, 4, 1, 5);
  const rsLow = i32x4.shuffle(r, s, 0, 4, 1, 5);
  const pqHigh = i32x4.shuffle(p, q, 2, 6, 3, 7);
  const rsHigh = i32x4.shuffle(r, s, 2, 6, 3, 7);
  storeBand(
    at,
    i32x4.shuffle(pqLow, rsLow, 0, 1, 4, 5),
    i32x4.shuffle(pqLow, rsLow, 2, 3, 6, 7),
    i32x4.shuffle(pqHigh, rsHigh, 0, 1, 4, 5),
    scale,
  );
}

/** Adds 32-bit sums of squares (R, G, B, -) and of products (RG, GB, BR, -) to the moments of a band. */
@inline function foldBand(at: usize, squares: v128, products: v128): void {
  v128.store(at, i64x2.add(v128.load(at), i64x2.extend_low_i32x4_s(squares)));
  v128.store(at, i64x2.add(v128.load(at, 16), i64x2.extend_high_i32x4_s(squares)), 16);
  v128.store(at, i64x2.add(v128.load(at, 32), i64x2.extend_low_i32x4_s(products)), 32);
  v128.store(at, i64x2.add(v128.load(at, 48), i64x2.extend_high_i32x4_s(products)), 48);
}

/**
 * A level above the first, for groups `first` to `end` of one row of blocks, from two rows of sums.
 *
 * @param narrow whether the squares of these groups add up within 32 bits
 */
@inline function forwardSums(
  top: usize, bottom: usize, sums: usize, details: usize, first: i32, end: i32, moments: usize, scale: f32, narrow: bool,
): void {
  const zero = i32x4.splat(0);
  let hSquares = zero, hProducts = zero;
  let vSquares = zero, vProducts = zero;
  let dSquares = zero, dProducts = zero;
  for (let group = first; group < end; group++) {
    const at = details + <usize>group * DETAILS;
    let offset = <usize>group * (8 * VECTOR);
    const sum = sums + <usize>group * (4 * VECTOR);
    let h0 = i32x4.splat(0), h1 = h0, h2 = h0, h3 = h0;
    let v0 = h0, v1 = h0, v2 = h0, v3 = h0;
    let d0 = h0, d1 = h0, d2 = h0, d3 = h0;
    for (let k = 0; k < 4; k++) {
      const a = v128.load(top + offset);
      const b = v128.load(top + offset, 16);
      const c = v128.load(bottom + offset);
      const d = v128.load(bottom + offset, 16);
      offset += 2 * VECTOR;
      const upperSum = i32x4.add(a, b);
      const upperStep = i32x4.sub(a, b);
      const lowerSum = i32x4.add(c, d);
      const lowerStep = i32x4.sub(c, d);
      v128.store(sum + <usize>k * VECTOR, i32x4.add(upperSum, lowerSum));
      const h = i32x4.sub(upperSum, lowerSum);
      const v = i32x4.add(upperStep, lowerStep);
      const x = i32x4.sub(upperStep, lowerStep);
      if (narrow) {
        hSquares = i32x4.add(hSquares, i32x4.mul(h, h));
        hProducts = i32x4.add(hProducts, i32x4.mul(h, turned(h)));
        vSquares = i32x4.add(vSquares, i32x4.mul(v, v));
        vProducts = i32x4.add(vProducts, i32x4.mul(v, turned(v)));
        dSquares = i32x4.add(dSquares, i32x4.mul(x, x));
        dProducts = i32x4.add(dProducts, i32x4.mul(x, turned(x)));
      } else {
        addMoments(moments, h);
        addMoments(moments + MOMENTS, v);
        addMoments(moments + 2 * MOMENTS, x);
      }
      if (k == 0) { h0 = h; v0 = v; d0 = x; }
      else if (k == 1) { h1 = h; v1 = v; d1 = x; }
      else if (k == 2) { h2 = h; v2 = v; d2 = x; }
      else { h3 = h; v3 = v; d3 = x; }
    }
    storeFour(at, h0, h1, h2, h3, scale);
    storeFour(at + VECTOR, v0, v1, v2, v3, scale);
    storeFour(at + 2 * VECTOR, d0, d1, d2, d3, scale);
  }
  if (narrow) {
    foldBand(moments, hSquares, hProducts);
    foldBand(moments + MOMENTS, vSquares, vProducts);
    foldBand(moments + 2 * MOMENTS, dSquares, dProducts);
  }
}

function forwardNarrow(
  top: usize, bottom: usize, sums: usize, details: usize, first: i32, end: i32, moments: usize, scale: f32,
): void {
  forwardSums(top, bottom, sums, details, first, end, moments, scale, true);
}

function forwardWide(
  top: usize, bottom: usize, sums: usize, details: usize, groups: i32, moments: usize, scale: f32,
): void {
  forwardSums(top, bottom, sums, details, 0, groups, moments, scale, false);
}

/** Groups of four blocks whose squares add up within 32 bits at levels 2 and 3: 2^31 / (255 * 4^level / 2)^2 / 4. */
@inline function foldSums(level: i32): i32 {
  return level == 2 ? 128 : level == 3 ? 8 : 0;
}

/** Repeats the last sum of a row of odd length and fills its rest with zeros, so that blocks beyond the image are zero. */
function padSums(level: Level, row: usize): void {
  const columns = level.columns;
  const at = row + <usize>columns * VECTOR;
  memory.fill(at, 0, <usize>(level.sumColumns - columns) * VECTOR);
  if (columns & 1) v128.store(at, v128.load(at - VECTOR));
}

/** Transforms `image` (the slot's, or the run's) into sums, details and run moments of all levels. */
export function forward(slot: Slot, image: usize): void {
  for (let l = 1; l <= slot.levels; l++) {
    const level = levelOf(slot, l);
    const moments = level.runMoments;
    memory.fill(moments, 0, LEVEL_MOMENTS);
    const sumStride = <usize>level.sumColumns * VECTOR;
    const rows = level.rows;
    if (l == 1) {
      const groups = <i32>(slot.imageStride / SIXTEEN_PIXELS);
      for (let y = 0; y < rows; y++) {
        const top = image + <usize>(2 * y) * slot.imageStride;
        const bottom = 2 * y + 1 < slot.height ? top + slot.imageStride : top;
        const sums = level.sums + <usize>y * sumStride;
        for (let group = 0; group < groups; group += FOLD_AFTER) {
          const end = min(group + FOLD_AFTER, groups);
          forwardPixels(top, bottom, sums, level.details + <usize>y * level.detailStride, group, end, moments);
        }
        padSums(level, sums);
      }
    } else {
      const below = levelOf(slot, l - 1);
      const belowStride = <usize>below.sumColumns * VECTOR;
      const scale = levelScale(l);
      for (let y = 0; y < rows; y++) {
        const top = below.sums + <usize>(2 * y) * belowStride;
        const bottom = 2 * y + 1 < below.rows ? top + belowStride : top;
        const sums = level.sums + <usize>y * sumStride;
        const details = level.details + <usize>y * level.detailStride;
        const groups = level.groups;
        const step = foldSums(l);
        if (step == 0) forwardWide(top, bottom, sums, details, groups, moments, scale);
        else for (let group = 0; group < groups; group += step) {
          forwardNarrow(top, bottom, sums, details, group, min(group + step, groups), moments, scale);
        }
        padSums(level, sums);
      }
    }
  }
}
