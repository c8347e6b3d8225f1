/**
 * What the host calls. On the fast path a run is: `beginSparse` where it is sparse; `deflectPixels`, in parts where the list
 * is long; `transform`; `writePixels`, in parts where the image is large; `endRun`. The general path is in planes.ts.
 */
import { COLOUR_UNITS } from './colour';
import { copyPixel, deflect, restorePixels, takePixels } from './deflect';
import { findExtremes, keepExtremes, updateExtremes } from './extremes';
import { forward } from './haar-forward';
import { Format, inverseToLevelOne, inverseToPixels } from './haar-inverse';
import { applyTouched, restoreTouched } from './haar-sparse';
import { selectBytes } from './select';
import { LEVEL_MOMENTS, levelOf, LIST_LENGTH, openSlot, Slot, slotBytes } from './slot';
import { setThresholds } from './thresholds';
import { rowBytes } from './wavelet';

export { philox } from './philox';
export { slotBytes, selectBytes };
export {
  channelBytes, currentPlanes, deflectPlanes, denoisePlanes, keepOriginal, keepStart, pixelsToPlanes, planesBytes,
  planesSlot, preparePlanes, strideBytes, takeStart, usePlaneShares, writePlanes,
} from './planes';

/** Where free memory begins. */
export function heapBase(): usize {
  return (__heap_base + 63) & ~63;
}

export function listLength(): i32 {
  return LIST_LENGTH;
}

/** Lays a slot out; the pixels, row by row without gaps, are then to be put at the address returned. */
export function prepareSlot(at: usize, width: i32, height: i32, levels: i32): usize {
  openSlot(at, width, height, levels);
  return changetype<Slot>(at).arrival;
}

/**
 * Takes the pixels over and fixes what all runs share.
 *
 * @param sigmaY noise of each plane: on the plane scaled to [0,1] (`legacy`), in units of Y, Cb, Cr, or -1
 * @param rule see thresholds.ts
 */
export function configureSlot(
  slot: Slot, rule: i32, hard: i32, legacy: i32, needsExtremes: i32,
  sigmaY: f64, sigmaCb: f64, sigmaCr: f64, universal: f64,
): void {
  slot.rule = rule;
  slot.hard = hard;
  slot.legacy = legacy;
  slot.needsExtremes = needsExtremes;
  slot.sigmaY = sigmaY;
  slot.sigmaCb = sigmaCb;
  slot.sigmaCr = sigmaCr;
  slot.universal = universal;
  takePixels(slot);
}

/** Gives a slot what SureShrink and the estimate of the noise work with: filters, and memory for magnitudes. */
export function equipSlot(slot: Slot, filters: usize, magnitudes: usize, select: usize): void {
  slot.filters = filters;
  slot.magnitudes = magnitudes;
  slot.select = select;
}

/** Sets the factor on sigma for the runs to come. */
export function setStrength(slot: Slot, strength: f64): void {
  slot.strength = strength;
}

/** Gives each level its shares of the thresholds, which lie one behind the other from `at` on, the finest level first. */
export function useShares(slot: Slot, at: usize): void {
  for (let l = 1; l <= slot.levels; l++) {
    const level = levelOf(slot, l);
    level.shares = at;
    at += rowBytes(level.columns) * <usize>level.rows;
  }
}

/** Puts the run's image of one slot into another of the same size, moved to the left and up around its edges. */
export function shiftPixels(from: Slot, to: Slot, x: i32, y: i32): void {
  const rowLength = <usize>from.width * 3;
  const split = <usize>x * 3;
  for (let row = 0; row < from.height; row++) {
    const source = from.deflected + <usize>((row + y) % from.height) * from.imageStride;
    const target = to.deflected + <usize>row * to.imageStride;
    memory.copy(target, source + split, rowLength - split);
    memory.copy(target + rowLength - split, source, split);
    if (from.width & 1) copyPixel(target + rowLength, target + rowLength - 3);
  }
}

/**
 * Adds lines of numbers that were moved to the left and up to their sum, where they were.
 *
 * @param shift numbers, and `y` rows, that they were moved by
 */
export function addShifted(from: usize, sum: usize, rowLength: i32, rows: i32, shift: i32, y: i32): void {
  for (let row = 0; row < rows; row++) {
    const source = from + (<usize>row * <usize>rowLength << 2);
    const target = sum + (<usize>((row + y) % rows) * <usize>rowLength << 2);
    addLine(source, target + (<usize>shift << 2), rowLength - shift);
    addLine(source + (<usize>(rowLength - shift) << 2), target, shift);
  }
}

function addLine(from: usize, to: usize, count: i32): void {
  for (; count >= 4; count -= 4) {
    v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
    from += 16;
    to += 16;
  }
  for (; count > 0; count--) {
    store<f32>(to, load<f32>(to) + load<f32>(from));
    from += 4;
    to += 4;
  }
}

/** Multiplies `count` numbers by a factor. */
export function multiply(at: usize, count: i32, factor: f32): void {
  for (; count >= 4; count -= 4) {
    v128.store(at, f32x4.mul(v128.load(at), f32x4.splat(factor)));
    at += 16;
  }
  for (; count > 0; count--) {
    store<f32>(at, load<f32>(at) * factor);
    at += 4;
  }
}

/** Deflections up to which a run may be sparse. */
export function sparseLimit(slot: Slot): i32 {
  return slot.sparseLimit;
}

/**
 * Makes sums, details, moments and extremes those of the image, if they are not: what all sparse runs share. A slot
 * without levels has extremes alone.
 */
export function beginSparse(slot: Slot): void {
  if (slot.isBase) return;
  forward(slot, slot.image);
  for (let l = 1; l <= slot.levels; l++) {
    const level = levelOf(slot, l);
    memory.copy(level.moments, level.runMoments, LEVEL_MOMENTS);
  }
  if (slot.needsExtremes) {
    findExtremes(slot, slot.image);
    keepExtremes(slot);
  }
  slot.isBase = 1;
}

/** See `deflect`. */
export function deflectPixels(
  slot: Slot, targets: usize, sources: usize, channels: usize, count: i32, replace: i32, window: i32, sparse: i32,
): void {
  deflect(slot, targets, sources, channels, count, replace, window, sparse != 0);
}

/** Finds the extremes of the deflected pixels, if they are needed. */
export function boundColours(slot: Slot, targets: usize, count: i32, sparse: i32): void {
  if (!slot.needsExtremes) return;
  if (sparse) updateExtremes(slot, targets, count);
  else findExtremes(slot, slot.deflected);
}

/** From the deflected pixels to the thresholds and the approximation of level 1. */
export function transform(slot: Slot, format: Format, targets: usize, count: i32, sparse: i32): void {
  if (sparse) applyTouched(slot);
  else forward(slot, slot.deflected);
  boundColours(slot, targets, count, sparse);
  setThresholds(slot);
  if (slot.legacy) {
    format.lowY = bound(slot.lowest, format.offsetY);
    format.highY = bound(slot.greatest, format.offsetY);
    format.lowCb = bound(slot.lowest + 4, format.offsetCb);
    format.highCb = bound(slot.greatest + 4, format.offsetCb);
    format.lowCr = bound(slot.lowest + 8, format.offsetCr);
    format.highCr = bound(slot.greatest + 8, format.offsetCr);
  }
  inverseToLevelOne(slot, format);
}

@inline function bound(at: usize, offset: f32): f32 {
  return <f32>(<f64>load<i32>(at) / COLOUR_UNITS + <f64>offset);
}

/** See `inverseToPixels`. */
export function writePixels(
  slot: Slot, format: Format, first: i32, end: i32, out: usize, planeBytes: usize, layout: i32,
): void {
  inverseToPixels(slot, format, first, end, out, planeBytes, layout);
}

/** Leaves no trace of the run. */
export function endRun(slot: Slot, targets: usize, count: i32, sparse: i32): void {
  if (sparse) {
    restoreTouched(slot);
    restorePixels(slot, targets, count);
  } else {
    memory.copy(slot.deflected, slot.image, slot.imageStride * <usize>slot.height);
    slot.isBase = 0;
  }
}
