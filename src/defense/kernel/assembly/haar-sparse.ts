/**
 * What a run's deflected pixels touch: at each level the sum and the three details of one block a pixel. The transform is
 * linear and its integers are exact, so what is found here equals a transform of the whole deflected image.
 *
 * Sums stay those of the image; a touch carries their change. Taking a run back is the same step without the changes.
 */
import {
  CB_B, CB_G, CB_R, CR_B, CR_G, CR_R, levelScale, loadPixel, weight, Y_B, Y_G, Y_R,
} from './colour';
import { turned } from './haar-forward';
import {
  DETAILS, Level, LEVEL_MOMENTS, levelOf, MOMENTS, PLANE_DETAILS, Slot, Touch, TOUCH, TOUCH_D, TOUCH_H, TOUCH_SUM,
  TOUCH_V, VECTOR,
} from './slot';

/** The touch of block (x, y), a new one if the run has none there yet. */
@inline function touchAt(level: Level, x: i32, y: i32): usize {
  const mark = level.touchOf + ((<usize>y * <usize>level.columns + <usize>x) << 2);
  let number = load<u32>(mark);
  if (number == 0) {
    number = <u32>level.touchCount + 1;
    level.touchCount = number;
    store<u32>(mark, number);
    const touch = level.touches + <usize>(number - 1) * TOUCH;
    changetype<Touch>(touch).x = x;
    changetype<Touch>(touch).y = y;
    const zero = i32x4.splat(0);
    v128.store(touch, zero, TOUCH_SUM);
    v128.store(touch, zero, TOUCH_H);
    v128.store(touch, zero, TOUCH_V);
    v128.store(touch, zero, TOUCH_D);
    return touch;
  }
  return level.touches + <usize>(number - 1) * TOUCH;
}

/** Adds the change of one of a block's four parts: `right` and `low` say which. */
@inline function addPart(touch: usize, change: v128, right: bool, low: bool): void {
  const negative = i32x4.neg(change);
  v128.store(touch, i32x4.add(v128.load(touch, TOUCH_SUM), change), TOUCH_SUM);
  v128.store(touch, i32x4.add(v128.load(touch, TOUCH_H), low ? negative : change), TOUCH_H);
  v128.store(touch, i32x4.add(v128.load(touch, TOUCH_V), right ? negative : change), TOUCH_V);
  v128.store(touch, i32x4.add(v128.load(touch, TOUCH_D), right != low ? negative : change), TOUCH_D);
}

/** Tells `level` that part (x, y) of the level below, which has `columns` x `rows` of them, changed. */
@inline function spread(level: Level, x: i32, y: i32, columns: i32, rows: i32, change: v128): void {
  const touch = touchAt(level, x >> 1, y >> 1);
  const right = (x & 1) != 0;
  const low = (y & 1) != 0;
  addPart(touch, change, right, low);
  // The last part of an odd length stands for the one beyond it too.
  const repeatsRight = !right && x == columns - 1;
  const repeatsLow = !low && y == rows - 1;
  if (repeatsRight) addPart(touch, change, true, low);
  if (repeatsLow) addPart(touch, change, right, true);
  if (repeatsRight && repeatsLow) addPart(touch, change, true, true);
}

/** Notes that the pixel at (x, y) changed by `change` (R, G, B, -). */
@inline export function touchPixel(slot: Slot, x: i32, y: i32, change: v128): void {
  spread(levelOf(slot, 1), x, y, slot.width, slot.height, change);
}

/** R, G, B, - to Y, Cb, Cr, -, rounded as the whole transform rounds. */
@inline function toPlanes(rgb: v128, fromR: v128, fromG: v128, fromB: v128): v128 {
  const v = f32x4.convert_i32x4_s(rgb);
  return f32x4.add(
    f32x4.add(
      f32x4.mul(f32x4.shuffle(v, v, 0, 0, 0, 0), fromR),
      f32x4.mul(f32x4.shuffle(v, v, 1, 1, 1, 1), fromG),
    ),
    f32x4.mul(f32x4.shuffle(v, v, 2, 2, 2, 2), fromB),
  );
}

@inline function storePlanes(at: usize, planes: v128): void {
  v128.store32_lane(at, planes, 0);
  v128.store32_lane(at, planes, 1, PLANE_DETAILS);
  v128.store32_lane(at, planes, 2, 2 * PLANE_DETAILS);
}

/** Levels at which the square of a detail fits 32 bits: (255 * 4^4 / 2)^2 < 2^31. */
const NARROW_LEVELS: i32 = 4;

@inline function add64(at: usize, change: v128): void {
  v128.store(at, i64x2.add(v128.load(at), change));
}

/** Replaces a detail's share of its band's moments. */
@inline function changeMoments(at: usize, before: v128, after: v128, narrow: bool): void {
  const b = turned(before);
  const a = turned(after);
  if (narrow) {
    const squares = i32x4.sub(i32x4.mul(after, after), i32x4.mul(before, before));
    const products = i32x4.sub(i32x4.mul(after, a), i32x4.mul(before, b));
    add64(at, i64x2.extend_low_i32x4_s(squares));
    add64(at + 16, i64x2.extend_high_i32x4_s(squares));
    add64(at + 32, i64x2.extend_low_i32x4_s(products));
    add64(at + 48, i64x2.extend_high_i32x4_s(products));
  } else {
    add64(at, i64x2.sub(i64x2.extmul_low_i32x4_s(after, after), i64x2.extmul_low_i32x4_s(before, before)));
    add64(at + 16, i64x2.sub(i64x2.extmul_high_i32x4_s(after, after), i64x2.extmul_high_i32x4_s(before, before)));
    add64(at + 32, i64x2.sub(i64x2.extmul_low_i32x4_s(after, a), i64x2.extmul_low_i32x4_s(before, b)));
    add64(at + 48, i64x2.sub(i64x2.extmul_high_i32x4_s(after, a), i64x2.extmul_high_i32x4_s(before, b)));
  }
}

/** Writes the details of all touched blocks: with `changed` those of the run, else those of the image. */
function writeTouched(slot: Slot, l: i32, changed: bool): void {
  const level = levelOf(slot, l);
  const scale = levelScale(l);
  const fromR = f32x4(weight(Y_R, scale), weight(CB_R, scale), weight(CR_R, scale), 0);
  const fromG = f32x4(weight(Y_G, scale), weight(CB_G, scale), weight(CR_G, scale), 0);
  const fromB = f32x4(weight(Y_B, scale), weight(CB_B, scale), weight(CR_B, scale), 0);
  const below = l > 1 ? levelOf(slot, l - 1) : level;
  const belowStride = l > 1 ? <usize>below.sumColumns * VECTOR : slot.imageStride;
  const belowRows = l > 1 ? below.rows : slot.height;
  const moments = level.runMoments;
  const count = level.touchCount;
  for (let i = 0; i < count; i++) {
    const touch = level.touches + <usize>i * TOUCH;
    const x = changetype<Touch>(touch).x;
    const y = changetype<Touch>(touch).y;
    let a: v128, b: v128, c: v128, d: v128;
    if (l == 1) {
      const top = slot.image + <usize>(2 * y) * belowStride + <usize>x * 6;
      const bottom = 2 * y + 1 < belowRows ? top + belowStride : top;
      a = loadPixel(top);
      b = loadPixel(top + 3);
      c = loadPixel(bottom);
      d = loadPixel(bottom + 3);
    } else {
      const top = below.sums + <usize>(2 * y) * belowStride + <usize>x * (2 * VECTOR);
      const bottom = 2 * y + 1 < belowRows ? top + belowStride : top;
      a = v128.load(top);
      b = v128.load(top, VECTOR);
      c = v128.load(bottom);
      d = v128.load(bottom, VECTOR);
    }
    const upperSum = i32x4.add(a, b);
    const upperStep = i32x4.sub(a, b);
    const lowerSum = i32x4.add(c, d);
    const lowerStep = i32x4.sub(c, d);
    let h = i32x4.sub(upperSum, lowerSum);
    let v = i32x4.add(upperStep, lowerStep);
    let o = i32x4.sub(upperStep, lowerStep);
    if (changed) {
      const h1 = i32x4.add(h, v128.load(touch, TOUCH_H));
      const v1 = i32x4.add(v, v128.load(touch, TOUCH_V));
      const o1 = i32x4.add(o, v128.load(touch, TOUCH_D));
      if (l <= NARROW_LEVELS) {
        changeMoments(moments, h, h1, true);
        changeMoments(moments + MOMENTS, v, v1, true);
        changeMoments(moments + 2 * MOMENTS, o, o1, true);
      } else {
        changeMoments(moments, h, h1, false);
        changeMoments(moments + MOMENTS, v, v1, false);
        changeMoments(moments + 2 * MOMENTS, o, o1, false);
      }
      h = h1;
      v = v1;
      o = o1;
    }
    const at = level.details + <usize>y * level.detailStride + <usize>(x >> 2) * DETAILS + (<usize>(x & 3) << 2);
    storePlanes(at, toPlanes(h, fromR, fromG, fromB));
    storePlanes(at + VECTOR, toPlanes(v, fromR, fromG, fromB));
    storePlanes(at + 2 * VECTOR, toPlanes(o, fromR, fromG, fromB));
  }
}

/** Takes the changes of the pixels up through all levels. Run moments start as the image's. */
export function applyTouched(slot: Slot): void {
  for (let l = 1; l <= slot.levels; l++) {
    const level = levelOf(slot, l);
    memory.copy(level.runMoments, level.moments, LEVEL_MOMENTS);
    if (l < slot.levels) {
      const above = levelOf(slot, l + 1);
      for (let i = 0; i < level.touchCount; i++) {
        const touch = level.touches + <usize>i * TOUCH;
        const change = v128.load(touch, TOUCH_SUM);
        spread(above, changetype<Touch>(touch).x, changetype<Touch>(touch).y, level.columns, level.rows, change);
      }
    }
    writeTouched(slot, l, true);
  }
}

/** Leaves no trace of the run's touches. */
export function restoreTouched(slot: Slot): void {
  for (let l = 1; l <= slot.levels; l++) {
    const level = levelOf(slot, l);
    writeTouched(slot, l, false);
    for (let i = 0; i < level.touchCount; i++) {
      const touch = changetype<Touch>(level.touches + <usize>i * TOUCH);
      store<u32>(level.touchOf + ((<usize>touch.y * <usize>level.columns + <usize>touch.x) << 2), 0);
    }
    level.touchCount = 0;
  }
}
