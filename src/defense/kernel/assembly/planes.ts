/**
 * The general path: any wavelet, any rule, any order of steps. It works on planes of single-precision numbers, from
 * scratch in every run; deflections that come first still work on 8-bit pixels, whose Y, Cb, Cr are exact.
 */
import {
  CB_B, CB_G, CB_R, COLOUR_UNITS, CR_B, CR_G, CR_R, sixteenBlues, sixteenGreens, sixteenReds, Y_B, Y_G, Y_R,
} from './colour';
import { findExtremes, reduceExtremes } from './extremes';
import { estimateSigma } from './noise';
import { selectBytes } from './select';
import { SIXTEEN_PIXELS, Slot, slotBytes, openSlot, VECTOR } from './slot';
import { bayes, ESTIMATED, RULE_BAYES, RULE_SURE, sure } from './thresholds';
import { decompose, Filters, kept, lineBytes, mergedBytes, reconstruct, rowBytes } from './wavelet';

@unmanaged
export class Planes {
  /** The 8-bit image and its settings; without levels. */
  slot: Slot;
  filters: Filters;
  levels: i32;
  /** Bytes of a plane; its rows lie `rowBytes(width)` apart. */
  planeBytes: usize;
  /** Planes R, G, B in [0,1]: the current ones, those that a deflection reads, those that every run begins with. */
  current: usize;
  original: usize;
  start: usize;
  /** Y, Cb or Cr less its least value, while it is denoised. */
  plane: usize;
  /** Details of all levels: H, V, D of the finest first. */
  details: usize;
  /** Two approximations, used in turn. */
  even: usize;
  odd: usize;
  lines: usize;
  merged: usize;
  magnitudes: usize;
  select: usize;
}

@inline const HEAD: usize = 128;

@inline function aligned(bytes: f64): f64 {
  return Math.ceil(bytes / 64) * 64;
}

/** Bytes of a plane, and of what vectors read beyond its end. */
@inline function planeSize(columns: i32, rows: i32): f64 {
  return aligned(<f64>rowBytes(columns) * <f64>rows + 128);
}

function placePlanes(at: usize, width: i32, height: i32, levels: i32, filters: Filters, length: i32, write: bool): f64 {
  const planes = changetype<Planes>(at);
  let cursor = <f64>HEAD;
  if (write) {
    planes.slot = changetype<Slot>(at + <usize>cursor);
    planes.filters = filters;
    planes.levels = levels;
  }
  cursor += aligned(slotBytes(width, height, 0));
  const size = planeSize(width, height);
  if (write) {
    planes.planeBytes = <usize>size;
    planes.current = at + <usize>cursor;
    planes.original = planes.current + <usize>(3 * size);
    planes.start = planes.original + <usize>(3 * size);
    planes.plane = planes.start + <usize>(3 * size);
    planes.details = planes.plane + <usize>size;
  }
  cursor += 10 * size;
  let levelColumns = width;
  let levelRows = height;
  // The longest sub-band: where the image is shorter than the filter, levels grow.
  let columns = 0;
  let rows = 0;
  for (let l = 1; l <= levels; l++) {
    levelColumns = kept(levelColumns, length);
    levelRows = kept(levelRows, length);
    columns = max(columns, levelColumns);
    rows = max(rows, levelRows);
    cursor += 3 * planeSize(levelColumns, levelRows);
  }
  const approximation = planeSize(columns, rows);
  if (write) {
    planes.even = at + <usize>cursor;
    planes.odd = planes.even + <usize>approximation;
    planes.lines = planes.odd + <usize>approximation;
  }
  cursor += 2 * approximation;
  const lines = aligned(<f64>lineBytes(max(width, columns), length));
  const merged = aligned(2 * <f64>mergedBytes(columns, rows) + 128);
  const magnitudes = aligned(<f64>columns * <f64>rows * 4 + 64);
  const select = aligned(<f64>selectBytes(columns * rows) + 64);
  if (write) {
    planes.merged = planes.lines + <usize>lines;
    planes.magnitudes = planes.merged + <usize>merged;
    planes.select = planes.magnitudes + <usize>magnitudes;
  }
  return cursor + lines + merged + magnitudes + select;
}

/** Bytes that the general path takes; more than an address can name where the image is too large. */
export function planesBytes(width: i32, height: i32, levels: i32, length: i32): f64 {
  return placePlanes(0, width, height, levels, changetype<Filters>(0), length, false);
}

/** Lays the memory of the general path out. Returns where the pixels are to be put. */
export function preparePlanes(at: usize, width: i32, height: i32, levels: i32, filters: Filters): usize {
  placePlanes(at, width, height, levels, filters, filters.length, true);
  const slot = changetype<Planes>(at).slot;
  openSlot(changetype<usize>(slot), width, height, 0);
  return slot.arrival;
}

/** The 8-bit image and its settings. */
export function planesSlot(planes: Planes): Slot {
  return planes.slot;
}

@inline function storeFour(at: usize, fourBytes: v128): void {
  const value = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(fourBytes));
  v128.store(at, f32x4.div(value, f32x4.splat(255)));
}

@inline function storeSixteen(at: usize, bytes: v128): void {
  const low = i16x8.extend_low_i8x16_u(bytes);
  const high = i16x8.extend_high_i8x16_u(bytes);
  storeFour(at, low);
  storeFour(at + 16, i8x16.shuffle(low, low, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  storeFour(at + 32, high);
  storeFour(at + 48, i8x16.shuffle(high, high, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
}

/** From the run's 8-bit pixels to the current planes. */
export function pixelsToPlanes(planes: Planes): void {
  const slot = planes.slot;
  const stride = rowBytes(slot.width);
  for (let y = 0; y < slot.height; y++) {
    const row = slot.deflected + <usize>y * slot.imageStride;
    let red = planes.current + <usize>y * stride;
    let x = 0;
    for (; x + 16 <= slot.width; x += 16) {
      const at = row + <usize>x * 3;
      const v0 = v128.load(at);
      const v1 = v128.load(at, 16);
      const v2 = v128.load(at, 32);
      storeSixteen(red, sixteenReds(v0, v1, v2));
      storeSixteen(red + planes.planeBytes, sixteenGreens(v0, v1, v2));
      storeSixteen(red + 2 * planes.planeBytes, sixteenBlues(v0, v1, v2));
      red += 64;
    }
    for (; x < slot.width; x++) {
      const at = row + <usize>x * 3;
      store<f32>(red, <f32>load<u8>(at) / 255);
      store<f32>(red + planes.planeBytes, <f32>load<u8>(at, 1) / 255);
      store<f32>(red + 2 * planes.planeBytes, <f32>load<u8>(at, 2) / 255);
      red += 4;
    }
  }
}

/** The current planes become those that every run begins with, or the other way round. */
export function keepStart(planes: Planes): void {
  memory.copy(planes.start, planes.current, 3 * planes.planeBytes);
}
export function takeStart(planes: Planes): void {
  memory.copy(planes.current, planes.start, 3 * planes.planeBytes);
}

/** Least (1), greatest (2) or mean (3) value of a plane over the window around (x, y) that lies in the image from `lowest` on. */
function windowValue(plane: usize, width: i32, height: i32, x: i32, y: i32, window: i32, lowest: i32, kind: i32): f32 {
  const stride = rowBytes(width);
  const firstRow = max(lowest, y - window);
  const lastRow = min(height - 1, y + window);
  const firstColumn = max(lowest, x - window);
  const lastColumn = min(width - 1, x + window);
  let least: f32 = f32.MAX_VALUE;
  let most: f32 = -f32.MAX_VALUE;
  let sum = 0.0;
  for (let row = firstRow; row <= lastRow; row++) {
    const at = plane + <usize>row * stride;
    for (let column = firstColumn; column <= lastColumn; column++) {
      const value = load<f32>(at + (<usize>column << 2));
      least = min(least, value);
      most = max(most, value);
      sum += <f64>value;
    }
  }
  if (kind == 1) return least;
  if (kind == 2) return most;
  return <f32>(sum / (<f64>(lastRow - firstRow + 1) * <f64>(lastColumn - firstColumn + 1)));
}

/** The current planes become those that the next deflections read. */
export function keepOriginal(planes: Planes): void {
  memory.copy(planes.original, planes.current, 3 * planes.planeBytes);
}

/** As `deflect` in deflect.ts, on the current planes, with `replace` 3 for the mean. */
export function deflectPlanes(
  planes: Planes, targets: usize, sources: usize, channels: usize, count: i32, replace: i32, window: i32,
): void {
  const width = <u32>planes.slot.width;
  const stride = rowBytes(width);
  const from = channels ? planes.current : planes.original;
  const lowest = channels ? 1 : 0;
  for (let i = 0; i < count; i++) {
    const target = load<u32>(targets + (<usize>i << 2));
    const source = load<u32>(sources + (<usize>i << 2));
    const y = target / width;
    const x = target - y * width;
    const sourceY = source / width;
    const sourceX = source - sourceY * width;
    const first = channels ? <usize>load<u8>(channels + i) : 0;
    const last: usize = channels ? first : 2;
    for (let c = first; c <= last; c++) {
      const shift = c * planes.planeBytes;
      const value = replace == 0
        ? load<f32>(from + shift + <usize>sourceY * stride + (<usize>sourceX << 2))
        : windowValue(from + shift, width, planes.slot.height, x, y, window, lowest, replace);
      store<f32>(planes.current + shift + <usize>y * stride + (<usize>x << 2), value);
    }
  }
}

/** Sets `plane` to Y, Cb or Cr of the run's 8-bit image less its least value `lowest`, exact before rounding. */
function planeOfPixels(planes: Planes, kr: i32, kg: i32, kb: i32, lowest: i32): void {
  const slot = planes.slot;
  const stride = rowBytes(slot.width);
  const unit = f32x4.splat(<f32>(1 / COLOUR_UNITS));
  const r = i32x4.splat(kr);
  const g = i32x4.splat(kg);
  const b = i32x4.splat(kb);
  const least = i32x4.splat(lowest);
  for (let y = 0; y < slot.height; y++) {
    const row = slot.deflected + <usize>y * slot.imageStride;
    const to = planes.plane + <usize>y * stride;
    for (let x = 0; x < slot.width; x += 16) {
      const at = row + <usize>x * 3;
      const v0 = v128.load(at);
      const v1 = v128.load(at, 16);
      const v2 = v128.load(at, 32);
      const red = sixteenReds(v0, v1, v2);
      const green = sixteenGreens(v0, v1, v2);
      const blue = sixteenBlues(v0, v1, v2);
      const rLow = i16x8.extend_low_i8x16_u(red);
      const gLow = i16x8.extend_low_i8x16_u(green);
      const bLow = i16x8.extend_low_i8x16_u(blue);
      const rHigh = i16x8.extend_high_i8x16_u(red);
      const gHigh = i16x8.extend_high_i8x16_u(green);
      const bHigh = i16x8.extend_high_i8x16_u(blue);
      const out = to + (<usize>x << 2);
      // A row of planes has room for whole vectors only.
      v128.store(out, product(i32x4.extend_low_i16x8_u(rLow), i32x4.extend_low_i16x8_u(gLow), i32x4.extend_low_i16x8_u(bLow), r, g, b, least, unit));
      if (x + 4 < slot.width) v128.store(out, product(i32x4.extend_high_i16x8_u(rLow), i32x4.extend_high_i16x8_u(gLow), i32x4.extend_high_i16x8_u(bLow), r, g, b, least, unit), 16);
      if (x + 8 < slot.width) v128.store(out, product(i32x4.extend_low_i16x8_u(rHigh), i32x4.extend_low_i16x8_u(gHigh), i32x4.extend_low_i16x8_u(bHigh), r, g, b, least, unit), 32);
      if (x + 12 < slot.width) v128.store(out, product(i32x4.extend_high_i16x8_u(rHigh), i32x4.extend_high_i16x8_u(gHigh), i32x4.extend_high_i16x8_u(bHigh), r, g, b, least, unit), 48);
    }
  }
}

@inline function product(red: v128, green: v128, blue: v128, r: v128, g: v128, b: v128, least: v128, unit: v128): v128 {
  const sum = i32x4.add(i32x4.add(i32x4.mul(red, r), i32x4.mul(green, g)), i32x4.mul(blue, b));
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.sub(sum, least)), unit);
}

/** Takes its least value from `plane` and leaves it at `select`. Returns the range. */
function normalise(planes: Planes): f64 {
  const rows = planes.slot.height;
  const columns = planes.slot.width;
  const stride = rowBytes(columns);
  let least: f32 = f32.MAX_VALUE;
  let most: f32 = -f32.MAX_VALUE;
  for (let y = 0; y < rows; y++) {
    const row = planes.plane + <usize>y * stride;
    for (let x = 0; x < columns; x++) {
      const value = load<f32>(row + (<usize>x << 2));
      least = min(least, value);
      most = max(most, value);
    }
  }
  const shift = f32x4.splat(least);
  for (let at: usize = 0; at < stride * <usize>rows; at += VECTOR) {
    v128.store(planes.plane + at, f32x4.sub(v128.load(planes.plane + at), shift));
  }
  store<f32>(planes.select, least);
  return <f64>most - <f64>least;
}

/** Sets `plane` to a product of the current R, G, B (kept in `original` meanwhile) less its least value. */
function planeOfPlanes(planes: Planes, kr: i32, kg: i32, kb: i32): void {
  const r = f32x4.splat(<f32>(<f64>kr / 1000));
  const g = f32x4.splat(<f32>(<f64>kg / 1000));
  const b = f32x4.splat(<f32>(<f64>kb / 1000));
  const bytes = rowBytes(planes.slot.width) * <usize>planes.slot.height;
  for (let at: usize = 0; at < bytes; at += VECTOR) {
    const red = planes.original + at;
    v128.store(planes.plane + at, f32x4.add(
      f32x4.add(f32x4.mul(v128.load(red), r), f32x4.mul(v128.load(red + planes.planeBytes), g)),
      f32x4.mul(v128.load(red + 2 * planes.planeBytes), b),
    ));
  }
}

/** Sum of the squares of a sub-band, in double precision. */
function energy(band: usize, columns: i32, rows: i32): f64 {
  const bytes = rowBytes(columns) * <usize>rows;
  let sum = f64x2.splat(0);
  for (let at: usize = 0; at < bytes; at += VECTOR) {
    const v = v128.load(band + at);
    const low = f64x2.promote_low_f32x4(v);
    const high = f64x2.promote_low_f32x4(f32x4.shuffle(v, v, 2, 3, 0, 1));
    sum = f64x2.add(sum, f64x2.add(f64x2.mul(low, low), f64x2.mul(high, high)));
  }
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

/** Copies the magnitudes of a sub-band without gaps. */
function gather(band: usize, columns: i32, rows: i32, to: usize): void {
  const stride = rowBytes(columns);
  for (let y = 0; y < rows; y++) {
    const row = band + <usize>y * stride;
    // Rows overlap by what a vector writes beyond them; the next row writes over it.
    for (let x: usize = 0; x < stride; x += VECTOR) {
      v128.store(to + x, f32x4.abs(v128.load(row + x)));
    }
    to += <usize>columns << 2;
  }
}

function shrink(band: usize, bytes: usize, threshold: f32, hard: bool): void {
  const t = f32x4.splat(threshold);
  const negative = f32x4.neg(t);
  for (let at = band; at < band + bytes; at += VECTOR) {
    const d = v128.load(at);
    v128.store(at, hard
      ? v128.and(d, f32x4.ge(f32x4.abs(d), t))
      : f32x4.sub(d, f32x4.pmax(negative, f32x4.pmin(t, d))));
  }
}

/**
 * Denoises `plane`.
 *
 * @param sigma in units of Y, Cb, Cr; below 0 it is estimated
 * @param isBytes whether the plane is that of the run's 8-bit image
 */
function denoisePlane(planes: Planes, index: i32, sigma: f64, range: f64, isBytes: bool): void {
  const slot = planes.slot;
  const filters = planes.filters;
  const length = filters.length;
  const levels = planes.levels;
  let columns = slot.width;
  let rows = slot.height;
  let from = planes.plane;
  let details = planes.details;
  for (let l = 1; l <= levels; l++) {
    const keptColumns = kept(columns, length);
    const keptRows = kept(rows, length);
    const size = <usize>planeSize(keptColumns, keptRows);
    const to = (l & 1) ? planes.odd : planes.even;
    decompose(from, columns, rows, filters, to, details, details + size, details + 2 * size, planes.lines);
    if (l == 1 && sigma < 0) {
      gather(details + 2 * size, keptColumns, keptRows, planes.magnitudes);
      sigma = estimateSigma(slot, index, isBytes, filters, planes.magnitudes, keptColumns * keptRows, planes.select);
    }
    const count = <f64>keptColumns * <f64>keptRows;
    const bytes = rowBytes(keptColumns) * <usize>keptRows;
    for (let band: usize = 0; band < 3; band++) {
      const at = details + band * size;
      let threshold: f64;
      if (slot.rule == RULE_BAYES) {
        threshold = bayes(energy(at, keptColumns, keptRows) / count, sigma, range);
      } else if (slot.rule == RULE_SURE) {
        if (sigma > 0) gather(at, keptColumns, keptRows, planes.magnitudes);
        threshold = sure(energy(at, keptColumns, keptRows), sigma, planes.magnitudes, keptColumns * keptRows, planes.select);
      } else {
        threshold = sigma * slot.universal;
      }
      shrink(at, bytes, <f32>min(threshold, <f64>f32.MAX_VALUE), slot.hard != 0);
    }
    details += 3 * size;
    columns = keptColumns;
    rows = keptRows;
    from = to;
  }
  for (let l = levels; l >= 1; l--) {
    let belowColumns = slot.width;
    let belowRows = slot.height;
    for (let k = 1; k < l; k++) {
      belowColumns = kept(belowColumns, length);
      belowRows = kept(belowRows, length);
    }
    const size = <usize>planeSize(columns, rows);
    details -= 3 * size;
    const to = l == 1 ? planes.plane : from == planes.even ? planes.odd : planes.even;
    reconstruct(
      from, details, details + size, details + 2 * size, columns, rows, filters, to, belowColumns, belowRows,
      planes.merged,
    );
    columns = belowColumns;
    rows = belowRows;
    from = to;
  }
}

/** Adds the denoised plane times its column of the inverse matrix to the current planes, clipped before where `legacy`. */
function addPlane(planes: Planes, least: f32, range: f32, toRed: f32, toGreen: f32, toBlue: f32, isFirst: bool): void {
  const bytes = rowBytes(planes.slot.width) * <usize>planes.slot.height;
  const legacy = planes.slot.legacy != 0;
  const high = f32x4.splat(range);
  const zero = f32x4.splat(0);
  const shift = f32x4.splat(least);
  const r = f32x4.splat(toRed);
  const g = f32x4.splat(toGreen);
  const b = f32x4.splat(toBlue);
  for (let at: usize = 0; at < bytes; at += VECTOR) {
    let v = v128.load(planes.plane + at);
    if (legacy) v = f32x4.pmax(zero, f32x4.pmin(high, v));
    v = f32x4.add(v, shift);
    const red = planes.current + at;
    const green = red + planes.planeBytes;
    const blue = green + planes.planeBytes;
    v128.store(red, f32x4.add(isFirst ? zero : v128.load(red), f32x4.mul(v, r)));
    v128.store(green, f32x4.add(isFirst ? zero : v128.load(green), f32x4.mul(v, g)));
    v128.store(blue, f32x4.add(isFirst ? zero : v128.load(blue), f32x4.mul(v, b)));
  }
}

/** Clips the current planes to [0,1]. */
function clipPlanes(planes: Planes): void {
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  for (let at: usize = 0; at < 3 * planes.planeBytes; at += VECTOR) {
    const v = v128.load(planes.current + at);
    v128.store(planes.current + at, f32x4.pmax(zero, f32x4.pmin(one, v)));
  }
}

/**
 * Denoises in Y, Cb, Cr.
 *
 * @param isBytes from the run's 8-bit image, else from the current planes
 * @param matrix RGB from Y, Cb, Cr: nine numbers in single precision, row by row
 */
export function denoisePlanes(planes: Planes, isBytes: i32, matrix: usize): void {
  const slot = planes.slot;
  if (isBytes) {
    findExtremes(slot, slot.deflected, slot.runExtremes);
    reduceExtremes(slot, slot.runExtremes);
  } else {
    keepOriginal(planes);
  }
  for (let index = 0; index < 3; index++) {
    const kr = index == 0 ? Y_R : index == 1 ? CB_R : CR_R;
    const kg = index == 0 ? Y_G : index == 1 ? CB_G : CR_G;
    const kb = index == 0 ? Y_B : index == 1 ? CB_B : CR_B;
    let least: f32;
    let range: f64;
    if (isBytes) {
      const lane = <usize>index << 2;
      const lowest = load<i32>(slot.lowest + lane);
      range = <f64>(load<i32>(slot.greatest + lane) - lowest) / COLOUR_UNITS;
      least = <f32>(<f64>lowest / COLOUR_UNITS);
      planeOfPixels(planes, kr, kg, kb, lowest);
    } else {
      planeOfPlanes(planes, kr, kg, kb);
      range = normalise(planes);
      least = load<f32>(planes.select);
    }
    if (range > 0) {
      const given = index == 0 ? slot.sigmaY : index == 1 ? slot.sigmaCb : slot.sigmaCr;
      const sigma = given == ESTIMATED ? -1 : slot.legacy ? given * range : given;
      denoisePlane(planes, index, sigma, range, isBytes != 0);
    }
    const column = matrix + (<usize>index << 2);
    addPlane(planes, least, <f32>range, load<f32>(column), load<f32>(column, 12), load<f32>(column, 24), index == 0);
  }
  if (slot.legacy) clipPlanes(planes);
}

/**
 * Writes pairs of rows `first` to `end` of the current planes: value * scale + bias.
 *
 * @param format three scales and three biases in single precision, R, G, B
 * @param layout as `inverseToPixels`
 */
export function writePlanes(
  planes: Planes, format: usize, first: i32, end: i32, out: usize, planeBytes: usize, layout: i32,
): void {
  const width = planes.slot.width;
  const stride = rowBytes(width);
  const lastRow = min(2 * end, planes.slot.height);
  const isPlanar = layout == 0 || layout == 3;
  const isReversed = layout >= 2;
  for (let c: usize = 0; c < 3; c++) {
    const place: usize = isReversed ? 2 - c : c;
    const scale = load<f32>(format + (c << 2));
    const bias = load<f32>(format + (c << 2), 12);
    for (let y = 2 * first; y < lastRow; y++) {
      const row = planes.current + c * planes.planeBytes + <usize>y * stride;
      const rowStart = <usize>(y - 2 * first) * <usize>width;
      if (isPlanar) {
        const to = out + place * planeBytes + (rowStart << 2);
        let x = 0;
        for (; x + 4 <= width; x += 4) {
          const at = <usize>x << 2;
          v128.store(to + at, f32x4.add(f32x4.mul(v128.load(row + at), f32x4.splat(scale)), f32x4.splat(bias)));
        }
        for (; x < width; x++) store<f32>(to + (<usize>x << 2), load<f32>(row + (<usize>x << 2)) * scale + bias);
      } else {
        const to = out + ((rowStart * 3 + place) << 2);
        for (let x = 0; x < width; x++) {
          store<f32>(to + <usize>x * 12, load<f32>(row + (<usize>x << 2)) * scale + bias);
        }
      }
    }
  }
}
