/**
 * Least and greatest Y, Cb, Cr of an image, in exact integers. `legacy` scales each plane of each deflected image to
 * [0,1], so a run that overwrites an extreme pixel has another scale.
 *
 * They are kept for each pair of rows; a run finds anew only those whose extremes it overwrote.
 */
import {
  CB_B, CB_G, CB_R, CR_B, CR_G, CR_R, loadPixel, pixelColour, sixteenBlues, sixteenGreens, sixteenReds, Y_B, Y_G, Y_R,
} from './colour';
import { SIXTEEN_PIXELS, Slot, VECTOR } from './slot';

@inline function eightColours(r: v128, g: v128, b: v128, kr: i32, kg: i32, kb: i32): v128 {
  return i32x4.add(i32x4.add(i32x4.mul(r, i32x4.splat(kr)), i32x4.mul(g, i32x4.splat(kg))), i32x4.mul(b, i32x4.splat(kb)));
}

@inline function leastLane(v: v128): i32 {
  const half = i32x4.min_s(v, i32x4.shuffle(v, v, 2, 3, 0, 1));
  return i32x4.extract_lane(i32x4.min_s(half, i32x4.shuffle(half, half, 1, 0, 3, 2)), 0);
}

@inline function greatestLane(v: v128): i32 {
  const half = i32x4.max_s(v, i32x4.shuffle(v, v, 2, 3, 0, 1));
  return i32x4.extract_lane(i32x4.max_s(half, i32x4.shuffle(half, half, 1, 0, 3, 2)), 0);
}

/** Writes the extremes of the pair of rows that begins at row 2 * pair to `at`. */
function findRow(slot: Slot, image: usize, pair: i32, at: usize): void {
  const width = slot.width;
  const rows = min(2, slot.height - 2 * pair);
  const first = image + <usize>(2 * pair) * slot.imageStride;
  if (width < 16) {
    let lowest = i32x4.splat(i32.MAX_VALUE);
    let greatest = i32x4.splat(i32.MIN_VALUE);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < width; x++) {
        const colour = pixelColour(loadPixel(first + <usize>y * slot.imageStride + <usize>x * 3));
        lowest = i32x4.min_s(lowest, colour);
        greatest = i32x4.max_s(greatest, colour);
      }
    }
    v128.store(at, lowest);
    v128.store(at, greatest, VECTOR);
    return;
  }
  let leastY = i32x4.splat(i32.MAX_VALUE);
  let leastCb = leastY;
  let leastCr = leastY;
  let mostY = i32x4.splat(i32.MIN_VALUE);
  let mostCb = mostY;
  let mostCr = mostY;
  // The last sixteen pixels overlap those before where the width is no multiple of sixteen.
  const last = <usize>(width - 16) * 3;
  for (let y = 0; y < rows; y++) {
    const row = first + <usize>y * slot.imageStride;
    let offset: usize = 0;
    while (true) {
      const v0 = v128.load(row + offset);
      const v1 = v128.load(row + offset, 16);
      const v2 = v128.load(row + offset, 32);
      const red = sixteenReds(v0, v1, v2);
      const green = sixteenGreens(v0, v1, v2);
      const blue = sixteenBlues(v0, v1, v2);
      for (let half = 0; half < 2; half++) {
        const r16 = half == 0 ? i16x8.extend_low_i8x16_u(red) : i16x8.extend_high_i8x16_u(red);
        const g16 = half == 0 ? i16x8.extend_low_i8x16_u(green) : i16x8.extend_high_i8x16_u(green);
        const b16 = half == 0 ? i16x8.extend_low_i8x16_u(blue) : i16x8.extend_high_i8x16_u(blue);
        for (let quarter = 0; quarter < 2; quarter++) {
          const r = quarter == 0 ? i32x4.extend_low_i16x8_u(r16) : i32x4.extend_high_i16x8_u(r16);
          const g = quarter == 0 ? i32x4.extend_low_i16x8_u(g16) : i32x4.extend_high_i16x8_u(g16);
          const b = quarter == 0 ? i32x4.extend_low_i16x8_u(b16) : i32x4.extend_high_i16x8_u(b16);
          const luma = eightColours(r, g, b, Y_R, Y_G, Y_B);
          const cb = eightColours(r, g, b, CB_R, CB_G, CB_B);
          const cr = eightColours(r, g, b, CR_R, CR_G, CR_B);
          leastY = i32x4.min_s(leastY, luma);
          mostY = i32x4.max_s(mostY, luma);
          leastCb = i32x4.min_s(leastCb, cb);
          mostCb = i32x4.max_s(mostCb, cb);
          leastCr = i32x4.min_s(leastCr, cr);
          mostCr = i32x4.max_s(mostCr, cr);
        }
      }
      if (offset == last) break;
      offset = min(offset + SIXTEEN_PIXELS, last);
    }
  }
  i32.store(at, leastLane(leastY));
  i32.store(at, leastLane(leastCb), 4);
  i32.store(at, leastLane(leastCr), 8);
  i32.store(at, greatestLane(mostY), 16);
  i32.store(at, greatestLane(mostCb), 20);
  i32.store(at, greatestLane(mostCr), 24);
}

/** Finds the extremes of all pairs of rows of `image` and writes them to `table`. */
export function findExtremes(slot: Slot, image: usize, table: usize): void {
  const pairs = (slot.height + 1) >> 1;
  for (let pair = 0; pair < pairs; pair++) findRow(slot, image, pair, table + <usize>pair * 2 * VECTOR);
}

/** Sets the run's extremes from `table`. */
export function reduceExtremes(slot: Slot, table: usize): void {
  const pairs = (slot.height + 1) >> 1;
  let lowest = v128.load(table);
  let greatest = v128.load(table, VECTOR);
  for (let pair = 1; pair < pairs; pair++) {
    const at = table + <usize>pair * 2 * VECTOR;
    lowest = i32x4.min_s(lowest, v128.load(at));
    greatest = i32x4.max_s(greatest, v128.load(at, VECTOR));
  }
  v128.store(slot.lowest, lowest);
  v128.store(slot.greatest, greatest);
}

/** Sets the run's extremes after the deflections of pixels `targets[0..count)` (row * width + column). */
export function updateExtremes(slot: Slot, targets: usize, count: i32): void {
  const width = <u32>slot.width;
  let lowest = i32x4.splat(i32.MAX_VALUE);
  let greatest = i32x4.splat(i32.MIN_VALUE);
  let dirty = 0;
  for (let i = 0; i < count; i++) {
    const target = load<u32>(targets + (<usize>i << 2));
    const y = target / width;
    const at = <usize>y * slot.imageStride + <usize>(target - y * width) * 3;
    const before = pixelColour(loadPixel(slot.image + at));
    const after = pixelColour(loadPixel(slot.deflected + at));
    lowest = i32x4.min_s(lowest, after);
    greatest = i32x4.max_s(greatest, after);
    const pair = y >> 1;
    const row = slot.extremes + <usize>pair * 2 * VECTOR;
    const meets = v128.or(i32x4.eq(before, v128.load(row)), i32x4.eq(before, v128.load(row, VECTOR)));
    // The fourth lane has no meaning.
    if ((i32x4.bitmask(meets) & 7) != 0) {
      store<u32>(slot.dirtyRows + (<usize>dirty << 2), pair);
      dirty++;
    }
  }
  slot.dirtyRowCount = dirty;
  for (let i = 0; i < dirty; i++) {
    const pair = load<i32>(slot.dirtyRows + (<usize>i << 2));
    findRow(slot, slot.deflected, pair, slot.runExtremes + <usize>pair * 2 * VECTOR);
  }
  reduceExtremes(slot, slot.runExtremes);
  v128.store(slot.lowest, i32x4.min_s(lowest, v128.load(slot.lowest)));
  v128.store(slot.greatest, i32x4.max_s(greatest, v128.load(slot.greatest)));
}

/** Takes the pairs of rows that `updateExtremes` found anew back to the image's. */
export function restoreExtremes(slot: Slot): void {
  for (let i = 0; i < slot.dirtyRowCount; i++) {
    const at = <usize>load<u32>(slot.dirtyRows + (<usize>i << 2)) * 2 * VECTOR;
    v128.store(slot.runExtremes + at, v128.load(slot.extremes + at));
    v128.store(slot.runExtremes + at, v128.load(slot.extremes + at, VECTOR), VECTOR);
  }
  slot.dirtyRowCount = 0;
}
