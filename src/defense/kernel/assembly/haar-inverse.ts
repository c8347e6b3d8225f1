/**
 * Shrinkage and the inverse Haar transform, level by level, the last one together with the way back to RGB.
 */
import {
  CB_B, CB_G, CB_R, CR_B, CR_G, CR_R, levelScale, weight, Y_B, Y_G, Y_R,
} from './colour';
import { APPROXIMATION, DETAILS, Level, levelOf, PLANE_DETAILS, Slot, Touch, TOUCH, TOUCH_SUM, VECTOR } from './slot';

/** Soft thresholding (Donoho 1995): towards zero by `t`; `negative` is -t. */
@inline function soft(d: v128, t: v128, negative: v128): v128 {
  return f32x4.sub(d, f32x4.pmax(negative, f32x4.pmin(t, d)));
}

/** Hard thresholding: what is at least `t` stays. */
@inline function hard(d: v128, t: v128): v128 {
  return v128.and(d, f32x4.ge(f32x4.abs(d), t));
}

/** One plane of one row of blocks to two rows of the level below. */
@inline function inverseRow(
  approximation: usize, details: usize, upper: usize, lower: usize, groups: i32, thresholds: usize, isHard: bool,
  shares: usize, isShared: bool,
): void {
  const wholeH = v128.load32_splat(thresholds);
  const wholeV = v128.load32_splat(thresholds, 4);
  const wholeD = v128.load32_splat(thresholds, 8);
  let tH = wholeH;
  let tV = wholeV;
  let tD = wholeD;
  let nH = f32x4.neg(tH);
  let nV = f32x4.neg(tV);
  let nD = f32x4.neg(tD);
  for (let group = 0; group < groups; group++) {
    if (isShared) {
      const share = v128.load(shares);
      shares += VECTOR;
      tH = f32x4.mul(wholeH, share);
      tV = f32x4.mul(wholeV, share);
      tD = f32x4.mul(wholeD, share);
      nH = f32x4.neg(tH);
      nV = f32x4.neg(tV);
      nD = f32x4.neg(tD);
    }
    const a = v128.load(approximation);
    let h = v128.load(details);
    let v = v128.load(details, VECTOR);
    let d = v128.load(details, 2 * VECTOR);
    if (isHard) {
      h = hard(h, tH);
      v = hard(v, tV);
      d = hard(d, tD);
    } else {
      h = soft(h, tH, nH);
      v = soft(v, tV, nV);
      d = soft(d, tD, nD);
    }
    const aboveMean = f32x4.add(a, h);
    const belowMean = f32x4.sub(a, h);
    const aboveStep = f32x4.add(v, d);
    const belowStep = f32x4.sub(v, d);
    const p = f32x4.add(aboveMean, aboveStep);
    const q = f32x4.sub(aboveMean, aboveStep);
    const r = f32x4.add(belowMean, belowStep);
    const s = f32x4.sub(belowMean, belowStep);
    v128.store(upper, f32x4.shuffle(p, q, 0, 4, 1, 5));
    v128.store(upper, f32x4.shuffle(p, q, 2, 6, 3, 7), APPROXIMATION);
    v128.store(lower, f32x4.shuffle(r, s, 0, 4, 1, 5));
    v128.store(lower, f32x4.shuffle(r, s, 2, 6, 3, 7), APPROXIMATION);
    approximation += APPROXIMATION;
    details += DETAILS;
    upper += 2 * APPROXIMATION;
    lower += 2 * APPROXIMATION;
  }
}

function inverseRowSoft(a: usize, details: usize, upper: usize, lower: usize, groups: i32, thresholds: usize): void {
  inverseRow(a, details, upper, lower, groups, thresholds, false, 0, false);
}

function inverseRowHard(a: usize, details: usize, upper: usize, lower: usize, groups: i32, thresholds: usize): void {
  inverseRow(a, details, upper, lower, groups, thresholds, true, 0, false);
}

function inverseRowSoftShared(
  a: usize, details: usize, upper: usize, lower: usize, groups: i32, thresholds: usize, shares: usize,
): void {
  inverseRow(a, details, upper, lower, groups, thresholds, false, shares, true);
}

function inverseRowHardShared(
  a: usize, details: usize, upper: usize, lower: usize, groups: i32, thresholds: usize, shares: usize,
): void {
  inverseRow(a, details, upper, lower, groups, thresholds, true, shares, true);
}

/** The three planes of row `y` of a level's blocks. */
@inline function inverseBlocks(level: Level, y: i32, upper: usize, lower: usize, isHard: i32): void {
  for (let plane: usize = 0; plane < 3; plane++) {
    const a = level.approximation + <usize>y * level.approximationStride + plane * VECTOR;
    const details = level.details + <usize>y * level.detailStride + plane * PLANE_DETAILS;
    const thresholds = level.thresholds + plane * 12;
    const shift = plane * VECTOR;
    if (level.shares) {
      const shares = level.shares + <usize>y * <usize>level.groups * VECTOR;
      if (isHard) inverseRowHardShared(a, details, upper + shift, lower + shift, level.groups, thresholds, shares);
      else inverseRowSoftShared(a, details, upper + shift, lower + shift, level.groups, thresholds, shares);
    } else if (isHard) inverseRowHard(a, details, upper + shift, lower + shift, level.groups, thresholds);
    else inverseRowSoft(a, details, upper + shift, lower + shift, level.groups, thresholds);
  }
}

/** The coarsest approximation, from the sums, in the planes of the output (see `Format`). */
function startApproximation(slot: Slot, format: Format): void {
  const level = levelOf(slot, slot.levels);
  const scale = levelScale(slot.levels);
  // The sums are the image's; a touch carries what the run adds.
  for (let i = 0; i < level.touchCount; i++) changeSum(level, i, 1);
  for (let y = 0; y < level.rows; y++) {
    let sum = level.sums + <usize>y * <usize>level.sumColumns * VECTOR;
    let at = level.approximation + <usize>y * level.approximationStride;
    for (let group = 0; group < level.groups; group++) {
      const p = v128.load(sum);
      const q = v128.load(sum, 16);
      const r = v128.load(sum, 32);
      const s = v128.load(sum, 48);
      const pqLow = i32x4.shuffle(p, q, 0, 4, 1, 5);
      const rsLow = i32x4.shuffle(r, s, 0, 4, 1, 5);
      const pqHigh = i32x4.shuffle(p, q, 2, 6, 3, 7);
      const rsHigh = i32x4.shuffle(r, s, 2, 6, 3, 7);
      const red = f32x4.convert_i32x4_s(i32x4.shuffle(pqLow, rsLow, 0, 1, 4, 5));
      const green = f32x4.convert_i32x4_s(i32x4.shuffle(pqLow, rsLow, 2, 3, 6, 7));
      const blue = f32x4.convert_i32x4_s(i32x4.shuffle(pqHigh, rsHigh, 0, 1, 4, 5));
      v128.store(at, plane(red, green, blue, Y_R, Y_G, Y_B, scale, format.offsetY));
      v128.store(at, plane(red, green, blue, CB_R, CB_G, CB_B, scale, format.offsetCb), 16);
      v128.store(at, plane(red, green, blue, CR_R, CR_G, CR_B, scale, format.offsetCr), 32);
      sum += 4 * VECTOR;
      at += APPROXIMATION;
    }
  }
  for (let i = 0; i < level.touchCount; i++) changeSum(level, i, -1);
}

@inline function changeSum(level: Level, i: i32, sign: i32): void {
  const touch = level.touches + <usize>i * TOUCH;
  const x = changetype<Touch>(touch).x;
  const y = changetype<Touch>(touch).y;
  const at = level.sums + (<usize>y * <usize>level.sumColumns + <usize>x) * VECTOR;
  const change = v128.load(touch, TOUCH_SUM);
  v128.store(at, sign > 0 ? i32x4.add(v128.load(at), change) : i32x4.sub(v128.load(at), change));
}

@inline function plane(r: v128, g: v128, b: v128, kr: i32, kg: i32, kb: i32, scale: f32, offset: f32): v128 {
  return f32x4.add(
    f32x4.add(
      f32x4.add(f32x4.mul(r, f32x4.splat(weight(kr, scale))), f32x4.mul(g, f32x4.splat(weight(kg, scale)))),
      f32x4.mul(b, f32x4.splat(weight(kb, scale))),
    ),
    f32x4.splat(offset),
  );
}

/**
 * How planes become output values: value = matrix * (Y, Cb, Cr) + nothing. The bias of each channel is in the offsets,
 * which the coarsest approximation carries down to every pixel.
 *
 * First, second, third are the channels in the order of the output; the second is green. R does not depend on Cb nor B on
 * Cr: `chroma` names the plane that the first depends on, the third depends on the other.
 */
@unmanaged
export class Format {
  offsetY: f32;
  offsetCb: f32;
  offsetCr: f32;
  redY: f32;
  redCr: f32;
  greenY: f32;
  greenCb: f32;
  greenCr: f32;
  blueY: f32;
  blueCb: f32;
  /** Bounds of the output values of R, G, B; read where the slot is `legacy`. */
  redLow: f32;
  redHigh: f32;
  greenLow: f32;
  greenHigh: f32;
  blueLow: f32;
  blueHigh: f32;
  /** Bounds of Y, Cb, Cr with their offsets; set by each run. */
  lowY: f32;
  highY: f32;
  lowCb: f32;
  highCb: f32;
  lowCr: f32;
  highCr: f32;
}

@inline function clamp(v: v128, low: v128, high: v128): v128 {
  return f32x4.pmax(low, f32x4.pmin(high, v));
}

/** A number of a format in all lanes. Loading it is cheaper than keeping more vectors than there are registers. */
@inline function bound(format: Format, offset: usize): v128 {
  return v128.load32_splat(changetype<usize>(format) + offset);
}

/** How the three channels of a row are laid out. */
@inline const PLANAR: i32 = 0;
@inline const RGB: i32 = 1;
@inline const BGR: i32 = 2;

@inline function storeSome(at: usize, v: v128, count: i32): void {
  v128.store32_lane(at, v, 0);
  if (count > 1) v128.store32_lane(at, v, 1, 4);
  if (count > 2) v128.store32_lane(at, v, 2, 8);
}

/** One row of pixels from planes to output values. `green` and `blue` are read where the layout is planar. */
@inline function writeRow(
  planes: usize, width: i32, format: Format, red: usize, green: usize, blue: usize, clip: bool, layout: i32,
): void {
  const redY = f32x4.splat(format.redY);
  const redCr = f32x4.splat(format.redCr);
  const greenY = f32x4.splat(format.greenY);
  const greenCb = f32x4.splat(format.greenCb);
  const greenCr = f32x4.splat(format.greenCr);
  const blueY = f32x4.splat(format.blueY);
  const blueCb = f32x4.splat(format.blueCb);
  let left = width;
  // Eight pixels at a time share the loads of the bounds.
  if (clip && layout == PLANAR) for (; left >= 8; left -= 8) {
    const lowY = bound(format, offsetof<Format>('lowY'));
    const highY = bound(format, offsetof<Format>('highY'));
    const y0 = clamp(v128.load(planes), lowY, highY);
    const y1 = clamp(v128.load(planes, APPROXIMATION), lowY, highY);
    const lowCr = bound(format, offsetof<Format>('lowCr'));
    const highCr = bound(format, offsetof<Format>('highCr'));
    const cr0 = clamp(v128.load(planes, 32), lowCr, highCr);
    const cr1 = clamp(v128.load(planes, APPROXIMATION + 32), lowCr, highCr);
    const redLow = bound(format, offsetof<Format>('redLow'));
    const redHigh = bound(format, offsetof<Format>('redHigh'));
    v128.store(red, clamp(f32x4.add(f32x4.mul(y0, redY), f32x4.mul(cr0, redCr)), redLow, redHigh));
    v128.store(red, clamp(f32x4.add(f32x4.mul(y1, redY), f32x4.mul(cr1, redCr)), redLow, redHigh), 16);
    const lowCb = bound(format, offsetof<Format>('lowCb'));
    const highCb = bound(format, offsetof<Format>('highCb'));
    const cb0 = clamp(v128.load(planes, 16), lowCb, highCb);
    const cb1 = clamp(v128.load(planes, APPROXIMATION + 16), lowCb, highCb);
    const blueLow = bound(format, offsetof<Format>('blueLow'));
    const blueHigh = bound(format, offsetof<Format>('blueHigh'));
    v128.store(blue, clamp(f32x4.add(f32x4.mul(y0, blueY), f32x4.mul(cb0, blueCb)), blueLow, blueHigh));
    v128.store(blue, clamp(f32x4.add(f32x4.mul(y1, blueY), f32x4.mul(cb1, blueCb)), blueLow, blueHigh), 16);
    const greenLow = bound(format, offsetof<Format>('greenLow'));
    const greenHigh = bound(format, offsetof<Format>('greenHigh'));
    const g0 = f32x4.add(f32x4.add(f32x4.mul(y0, greenY), f32x4.mul(cb0, greenCb)), f32x4.mul(cr0, greenCr));
    const g1 = f32x4.add(f32x4.add(f32x4.mul(y1, greenY), f32x4.mul(cb1, greenCb)), f32x4.mul(cr1, greenCr));
    v128.store(green, clamp(g0, greenLow, greenHigh));
    v128.store(green, clamp(g1, greenLow, greenHigh), 16);
    planes += 2 * APPROXIMATION;
    red += 2 * VECTOR;
    green += 2 * VECTOR;
    blue += 2 * VECTOR;
  }
  for (; left > 0; left -= 4) {
    let luma = v128.load(planes);
    let cb = v128.load(planes, 16);
    let cr = v128.load(planes, 32);
    planes += APPROXIMATION;
    if (clip) {
      luma = clamp(luma, bound(format, offsetof<Format>('lowY')), bound(format, offsetof<Format>('highY')));
      cb = clamp(cb, bound(format, offsetof<Format>('lowCb')), bound(format, offsetof<Format>('highCb')));
      cr = clamp(cr, bound(format, offsetof<Format>('lowCr')), bound(format, offsetof<Format>('highCr')));
    }
    let r = f32x4.add(f32x4.mul(luma, redY), f32x4.mul(cr, redCr));
    let g = f32x4.add(f32x4.add(f32x4.mul(luma, greenY), f32x4.mul(cb, greenCb)), f32x4.mul(cr, greenCr));
    let b = f32x4.add(f32x4.mul(luma, blueY), f32x4.mul(cb, blueCb));
    if (clip) {
      r = clamp(r, bound(format, offsetof<Format>('redLow')), bound(format, offsetof<Format>('redHigh')));
      g = clamp(g, bound(format, offsetof<Format>('greenLow')), bound(format, offsetof<Format>('greenHigh')));
      b = clamp(b, bound(format, offsetof<Format>('blueLow')), bound(format, offsetof<Format>('blueHigh')));
    }
    if (layout == PLANAR) {
      if (left >= 4) {
        v128.store(red, r);
        v128.store(green, g);
        v128.store(blue, b);
      } else {
        storeSome(red, r, left);
        storeSome(green, g, left);
        storeSome(blue, b, left);
      }
      red += VECTOR;
      green += VECTOR;
      blue += VECTOR;
    } else {
      const first = layout == RGB ? r : b;
      const third = layout == RGB ? b : r;
      // Three vectors of four pixels: 1 2 3 1 | 2 3 1 2 | 3 1 2 3.
      const firstSecond = f32x4.shuffle(first, g, 0, 4, 1, 5);
      const laterFirstSecond = f32x4.shuffle(first, g, 2, 6, 3, 7);
      const thirdFirst = f32x4.shuffle(third, first, 0, 5, 2, 7);
      const secondThird = f32x4.shuffle(g, third, 1, 5, 3, 7);
      const out0 = f32x4.shuffle(firstSecond, thirdFirst, 0, 1, 4, 5);
      const out1 = f32x4.shuffle(secondThird, laterFirstSecond, 0, 1, 4, 5);
      const out2 = f32x4.shuffle(thirdFirst, secondThird, 2, 3, 6, 7);
      if (left >= 4) {
        v128.store(red, out0);
        v128.store(red, out1, 16);
        v128.store(red, out2, 32);
      } else {
        storeSome(red, out0, 3);
        if (left > 1) {
          v128.store32_lane(red, out0, 3, 12);
          storeSome(red + 16, out1, 2);
        }
        if (left > 2) {
          v128.store64_lane(red, out1, 1, 24);
          v128.store32_lane(red, out2, 0, 32);
        }
      }
      red += 3 * VECTOR;
    }
  }
}

function writePlanar(planes: usize, width: i32, format: Format, red: usize, green: usize, blue: usize): void {
  writeRow(planes, width, format, red, green, blue, false, PLANAR);
}
function writePlanarClipped(planes: usize, width: i32, format: Format, red: usize, green: usize, blue: usize): void {
  writeRow(planes, width, format, red, green, blue, true, PLANAR);
}
function writeRgb(planes: usize, width: i32, format: Format, at: usize): void {
  writeRow(planes, width, format, at, 0, 0, false, RGB);
}
function writeRgbClipped(planes: usize, width: i32, format: Format, at: usize): void {
  writeRow(planes, width, format, at, 0, 0, true, RGB);
}
function writeBgr(planes: usize, width: i32, format: Format, at: usize): void {
  writeRow(planes, width, format, at, 0, 0, false, BGR);
}
function writeBgrClipped(planes: usize, width: i32, format: Format, at: usize): void {
  writeRow(planes, width, format, at, 0, 0, true, BGR);
}

/** Shrinks and transforms back down to the approximation of level 1. */
export function inverseToLevelOne(slot: Slot, format: Format): void {
  startApproximation(slot, format);
  for (let l = slot.levels; l > 1; l--) {
    const level = levelOf(slot, l);
    const below = levelOf(slot, l - 1);
    for (let y = 0; y < level.rows; y++) {
      const upper = below.approximation + <usize>(2 * y) * below.approximationStride;
      inverseBlocks(level, y, upper, upper + below.approximationStride, slot.hard);
    }
  }
}

/**
 * The last level, for rows of blocks `first` to `end`, and the way to output values.
 *
 * @param out where pixel row 2 * first begins
 * @param planeBytes distance of two channels in a planar layout
 * @param layout 0 planar R, G, B; 1 interleaved RGB; 2 interleaved BGR; 3 planar B, G, R
 */
export function inverseToPixels(
  slot: Slot, format: Format, first: i32, end: i32, out: usize, planeBytes: usize, layout: i32,
): void {
  const level = levelOf(slot, 1);
  const width = slot.width;
  const upper = slot.pixelRows;
  const rowBytes = <usize>level.groups * (2 * APPROXIMATION);
  const outStride = layout == PLANAR || layout == 3 ? <usize>width * 4 : <usize>width * 12;
  const red: usize = layout == 3 ? 2 * planeBytes : 0;
  const blue: usize = layout == 3 ? 0 : 2 * planeBytes;
  const legacy = slot.legacy;
  for (let y = first; y < end; y++) {
    inverseBlocks(level, y, upper, upper + rowBytes, slot.hard);
    const rows = min(2, slot.height - 2 * y);
    for (let k = 0; k < rows; k++) {
      const planes = upper + <usize>k * rowBytes;
      if (layout == PLANAR || layout == 3) {
        if (legacy) writePlanarClipped(planes, width, format, out + red, out + planeBytes, out + blue);
        else writePlanar(planes, width, format, out + red, out + planeBytes, out + blue);
      } else if (layout == RGB) {
        if (legacy) writeRgbClipped(planes, width, format, out);
        else writeRgb(planes, width, format, out);
      } else {
        if (legacy) writeBgrClipped(planes, width, format, out);
        else writeBgr(planes, width, format, out);
      }
      out += outStride;
    }
  }
}
