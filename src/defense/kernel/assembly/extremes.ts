/**
 * Least and greatest Y, Cb, Cr of an image, in exact integers. `legacy` scales each plane of each deflected image to
 * [0,1], so a run that overwrites an extreme pixel has another scale.
 *
 * For each extreme of the image one pixel that has it is known, its witness. As long as a run leaves the witnesses alone
 * its extremes are those of the image and of its new pixels. Whole images are surveyed in 16 bits first; pixels are looked
 * at only where the survey cannot rule an extreme out.
 */
import { loadPixel, pixelColour, sixteenBlues, sixteenGreens, sixteenReds } from './colour';
import { Slot } from './slot';

/** Rows that are looked at together. */
const TILE_ROWS: i32 = 8;

/** Bytes that a tile leaves behind: least and greatest values of Y, Cb, Cr in 16-bit approximation, column by column. */
export const TILE: usize = 96;

/** Greatest Y there is, of a white pixel; the least is 0. */
const MOST_Y: i32 = 219000 * 255;

/** Tiles of an image that is at least sixteen pixels wide. */
@inline export function tileCount(width: u64, height: u64): u64 {
  return ((width + 15) / 16) * ((height + <u64>TILE_ROWS - 1) / <u64>TILE_ROWS);
}

/** Makes a pixel the witness of the extremes that its colour lies beyond. */
function noteWitnesses(slot: Slot, pixel: u32, colour: v128, lowest: v128, greatest: v128): void {
  const isLower = i32x4.bitmask(i32x4.lt_s(colour, lowest));
  const isGreater = i32x4.bitmask(i32x4.gt_s(colour, greatest));
  for (let lane = 0; lane < 3; lane++) {
    if ((isLower >> lane) & 1) store<u32>(slot.witnesses + (<usize>lane << 2), pixel);
    if ((isGreater >> lane) & 1) store<u32>(slot.witnesses + (<usize>lane << 2), pixel, 12);
  }
}

/** Looks at every pixel of a part of `image`: at (left, top), `columns` x `rows`. */
function lookAtPixels(slot: Slot, image: usize, left: i32, top: i32, columns: i32, rows: i32): void {
  let lowest = v128.load(slot.lowest);
  let greatest = v128.load(slot.greatest);
  for (let y = top; y < top + rows; y++) {
    const row = image + <usize>y * slot.imageStride;
    for (let x = left; x < left + columns; x++) {
      const colour = pixelColour(loadPixel(row + <usize>x * 3));
      const beyond = v128.or(i32x4.lt_s(colour, lowest), i32x4.gt_s(colour, greatest));
      // The fourth lane has no meaning.
      if ((i32x4.bitmask(beyond) & 7) == 0) continue;
      noteWitnesses(slot, <u32>y * <u32>slot.width + <u32>x, colour, lowest, greatest);
      lowest = i32x4.min_s(lowest, colour);
      greatest = i32x4.max_s(greatest, colour);
    }
  }
  v128.store(slot.lowest, lowest);
  v128.store(slot.greatest, greatest);
}

/**
 * Looks at sixteen columns of some rows in 16 bits: Y as 65 R + 129 G + 25 B, within 123 of 1,000; Cb and Cr, halved, as
 * 56 (B - G) - 19 (R - G) and 56 (R - G) - 9 (B - G), within 28.
 */
@inline function surveyTile(slot: Slot, image: usize, left: i32, top: i32, rows: i32, to: usize): void {
  let leastY = i16x8.splat(-1);
  let mostY = i16x8.splat(0);
  let leastCb = i16x8.splat(i16.MAX_VALUE);
  let mostCb = i16x8.splat(i16.MIN_VALUE);
  let leastCr = leastCb;
  let mostCr = mostCb;
  let at = image + <usize>top * slot.imageStride + <usize>left * 3;
  for (let y = 0; y < rows; y++) {
    const v0 = v128.load(at);
    const v1 = v128.load(at, 16);
    const v2 = v128.load(at, 32);
    const reds = sixteenReds(v0, v1, v2);
    const greens = sixteenGreens(v0, v1, v2);
    const blues = sixteenBlues(v0, v1, v2);
    for (let half = 0; half < 2; half++) {
      const r = half == 0 ? i16x8.extend_low_i8x16_u(reds) : i16x8.extend_high_i8x16_u(reds);
      const g = half == 0 ? i16x8.extend_low_i8x16_u(greens) : i16x8.extend_high_i8x16_u(greens);
      const b = half == 0 ? i16x8.extend_low_i8x16_u(blues) : i16x8.extend_high_i8x16_u(blues);
      const p = i16x8.sub(r, g);
      const q = i16x8.sub(b, g);
      const luma = i16x8.add(
        i16x8.add(i16x8.mul(r, i16x8.splat(65)), i16x8.mul(g, i16x8.splat(129))), i16x8.mul(b, i16x8.splat(25)),
      );
      const cb = i16x8.sub(i16x8.mul(q, i16x8.splat(56)), i16x8.mul(p, i16x8.splat(19)));
      const cr = i16x8.sub(i16x8.mul(p, i16x8.splat(56)), i16x8.mul(q, i16x8.splat(9)));
      leastY = i16x8.min_u(leastY, luma);
      mostY = i16x8.max_u(mostY, luma);
      leastCb = i16x8.min_s(leastCb, cb);
      mostCb = i16x8.max_s(mostCb, cb);
      leastCr = i16x8.min_s(leastCr, cr);
      mostCr = i16x8.max_s(mostCr, cr);
    }
    at += slot.imageStride;
  }
  v128.store(to, leastY);
  v128.store(to, leastCb, 16);
  v128.store(to, leastCr, 32);
  v128.store(to, mostY, 48);
  v128.store(to, mostCb, 64);
  v128.store(to, mostCr, 80);
}

/** Lane `i` of eight 16-bit numbers that were stored. */
@inline function stored(i: usize, isSigned: bool): i32 {
  const at = SCRATCH + 2 * i;
  return isSigned ? <i32>load<i16>(at) : <i32>load<u16>(at);
}

/** What a tile's least values must not exceed for its pixels to be looked at: the least of all tiles and twice the error. */
@inline function reachLeast(least: v128, margin: i32, isSigned: bool): v128 {
  v128.store(SCRATCH, least);
  const most = isSigned ? <i32>i16.MAX_VALUE : <i32>u16.MAX_VALUE;
  let found = most;
  for (let i: usize = 0; i < 8; i++) found = min(found, stored(i, isSigned));
  return i16x8.splat(<i16>min(found + margin, most));
}

/** What a tile's greatest values must reach. */
@inline function reachMost(greatest: v128, margin: i32, isSigned: bool): v128 {
  v128.store(SCRATCH, greatest);
  const least = isSigned ? <i32>i16.MIN_VALUE : 0;
  let found = least;
  for (let i: usize = 0; i < 8; i++) found = max(found, stored(i, isSigned));
  return i16x8.splat(<i16>max(found - margin, least));
}

/** One vector of working memory. */
const SCRATCH: usize = memory.data(16, 16);

/** Twice the errors of the approximations. */
const MARGIN_Y: i32 = 246;
const MARGIN_C: i32 = 56;

/** Finds the extremes of `image`, and a witness for each. */
export function findExtremes(slot: Slot, image: usize): void {
  const width = slot.width;
  const height = slot.height;
  v128.store(slot.lowest, i32x4.splat(i32.MAX_VALUE));
  v128.store(slot.greatest, i32x4.splat(i32.MIN_VALUE));
  if (width < 16) {
    lookAtPixels(slot, image, 0, 0, width, height);
    return;
  }
  let tile = slot.tiles;
  let leastY = i16x8.splat(-1);
  let mostY = i16x8.splat(0);
  let leastCb = i16x8.splat(i16.MAX_VALUE);
  let mostCb = i16x8.splat(i16.MIN_VALUE);
  let leastCr = leastCb;
  let mostCr = mostCb;
  for (let top = 0; top < height; top += TILE_ROWS) {
    const rows = min(TILE_ROWS, height - top);
    // The last sixteen columns overlap those before where the width is no multiple of sixteen.
    for (let left = 0; left < width; left += 16) {
      surveyTile(slot, image, min(left, width - 16), top, rows, tile);
      leastY = i16x8.min_u(leastY, v128.load(tile));
      leastCb = i16x8.min_s(leastCb, v128.load(tile, 16));
      leastCr = i16x8.min_s(leastCr, v128.load(tile, 32));
      mostY = i16x8.max_u(mostY, v128.load(tile, 48));
      mostCb = i16x8.max_s(mostCb, v128.load(tile, 64));
      mostCr = i16x8.max_s(mostCr, v128.load(tile, 80));
      tile += TILE;
    }
  }
  const reachLeastY = reachLeast(leastY, MARGIN_Y, false);
  const reachLeastCb = reachLeast(leastCb, MARGIN_C, true);
  const reachLeastCr = reachLeast(leastCr, MARGIN_C, true);
  const reachMostY = reachMost(mostY, MARGIN_Y, false);
  const reachMostCb = reachMost(mostCb, MARGIN_C, true);
  const reachMostCr = reachMost(mostCr, MARGIN_C, true);
  tile = slot.tiles;
  for (let top = 0; top < height; top += TILE_ROWS) {
    const rows = min(TILE_ROWS, height - top);
    for (let left = 0; left < width; left += 16) {
      const chroma = v128.or(
        v128.or(i16x8.le_s(v128.load(tile, 16), reachLeastCb), i16x8.le_s(v128.load(tile, 32), reachLeastCr)),
        v128.or(i16x8.ge_s(v128.load(tile, 64), reachMostCb), i16x8.ge_s(v128.load(tile, 80), reachMostCr)),
      );
      const isDark = v128.any_true(i16x8.le_u(v128.load(tile), reachLeastY));
      const isLight = v128.any_true(i16x8.ge_u(v128.load(tile, 48), reachMostY));
      tile += TILE;
      // Black and white, of which clipped photographs have plenty, cannot be exceeded.
      const looks = v128.any_true(chroma)
        || (isDark && load<i32>(slot.lowest) > 0)
        || (isLight && load<i32>(slot.greatest) < MOST_Y);
      if (looks) lookAtPixels(slot, image, min(left, width - 16), top, 16, rows);
    }
  }
}

/** Keeps the extremes that were found as those of the image. */
export function keepExtremes(slot: Slot): void {
  v128.store(slot.baseLowest, v128.load(slot.lowest));
  v128.store(slot.baseGreatest, v128.load(slot.greatest));
  memory.copy(slot.baseWitnesses, slot.witnesses, 24);
}

/** Sets the run's extremes after the deflections of pixels `targets[0..count)` (row * width + column). */
export function updateExtremes(slot: Slot, targets: usize, count: i32): void {
  const width = <u32>slot.width;
  const leastWitnesses = v128.load(slot.baseWitnesses);
  const otherWitnesses = v128.load(slot.baseWitnesses, 8);
  let lowest = v128.load(slot.baseLowest);
  let greatest = v128.load(slot.baseGreatest);
  for (let i = 0; i < count; i++) {
    const target = load<u32>(targets + (<usize>i << 2));
    const all = i32x4.splat(target);
    if (v128.any_true(v128.or(i32x4.eq(all, leastWitnesses), i32x4.eq(all, otherWitnesses)))) {
      findExtremes(slot, slot.deflected);
      return;
    }
    const y = target / width;
    const colour = pixelColour(
      loadPixel(slot.deflected + <usize>y * slot.imageStride + <usize>(target - y * width) * 3),
    );
    lowest = i32x4.min_s(lowest, colour);
    greatest = i32x4.max_s(greatest, colour);
  }
  v128.store(slot.lowest, lowest);
  v128.store(slot.greatest, greatest);
}
