/**
 * The general path: any wavelet, any rule, any order of steps. It works on planes of single-precision numbers, from
 * scratch in every run; deflections that come first still work on 8-bit pixels, whose Y, Cb, Cr are exact.
 */
import {
  CB_B, CB_G, CB_R, COLOUR_UNITS, CR_B, CR_G, CR_R, sixteenBlues, sixteenGreens, sixteenReds, Y_B, Y_G, Y_R,
} from './colour';
import { estimateSigma } from './noise';
import { selectBytes } from './select';
import { openSlot, Slot, slotBytes, VECTOR } from './slot';
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
  /** Y, Cb, Cr, each less its least value, while they are denoised. */
  colours: usize;
  /** Details of all levels: H, V, D of the finest first. */
  details: usize;
  /** Two approximations, used in turn. */
  even: usize;
  odd: usize;
  lines: usize;
  merged: usize;
  magnitudes: usize;
  select: usize;
  /** Least values and ranges of Y, Cb, Cr, and what their least values are worth in R, G, B. */
  bounds: usize;
  /** Shares of the thresholds that hold for each coefficient, laid out as one band of each level, the finest first; or 0. */
  shares: usize;
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
    planes.shares = 0;
  }
  cursor += aligned(slotBytes(width, height, 0));
  const size = planeSize(width, height);
  if (write) {
    planes.planeBytes = <usize>size;
    planes.current = at + <usize>cursor;
    planes.original = planes.current + <usize>(3 * size);
    planes.start = planes.original + <usize>(3 * size);
    planes.colours = planes.start + <usize>(3 * size);
    planes.details = planes.colours + <usize>(3 * size);
  }
  cursor += 12 * size;
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
    planes.bounds = planes.select + <usize>select;
  }
  return cursor + lines + merged + magnitudes + select + 64;
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

/** See `Planes.shares`. */
export function usePlaneShares(planes: Planes, at: usize): void {
  planes.shares = at;
}

/** The 8-bit image and its settings. */
export function planesSlot(planes: Planes): Slot {
  return planes.slot;
}

/** Where the current planes begin, and how far apart their channels and their rows lie, for a step outside the kernel. */
export function currentPlanes(planes: Planes): usize {
  return planes.current;
}
export function channelBytes(planes: Planes): usize {
  return planes.planeBytes;
}
export function strideBytes(planes: Planes): usize {
  return rowBytes(planes.slot.width);
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

/** Sum of `count` numbers, in double precision. */
@inline function rowSum(at: usize, count: i32): f64 {
  let low = f64x2.splat(0);
  let high = low;
  let x = 0;
  for (; x + 4 <= count; x += 4) {
    const v = v128.load(at + (<usize>x << 2));
    low = f64x2.add(low, f64x2.promote_low_f32x4(v));
    high = f64x2.add(high, f64x2.promote_low_f32x4(f32x4.shuffle(v, v, 2, 3, 0, 1)));
  }
  const both = f64x2.add(low, high);
  let sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
  for (; x < count; x++) sum += <f64>load<f32>(at + (<usize>x << 2));
  return sum;
}

/** Least (1), greatest (2) or mean (3) value over the window around (x, y) that lies in the image from `lowest` on. */
function windowValue(plane: usize, width: i32, height: i32, x: i32, y: i32, window: i32, lowest: i32, kind: i32): f32 {
  const stride = rowBytes(width);
  const firstRow = max(lowest, y - window);
  const lastRow = min(height - 1, y + window);
  const firstColumn = max(lowest, x - window);
  const columns = min(width - 1, x + window) - firstColumn + 1;
  let least: f32 = f32.MAX_VALUE;
  let most: f32 = -f32.MAX_VALUE;
  let sum = 0.0;
  for (let row = firstRow; row <= lastRow; row++) {
    const at = plane + <usize>row * stride + (<usize>firstColumn << 2);
    if (kind == 3) {
      sum += rowSum(at, columns);
    } else {
      for (let column = 0; column < columns; column++) {
        const value = load<f32>(at + (<usize>column << 2));
        least = min(least, value);
        most = max(most, value);
      }
    }
  }
  if (kind == 1) return least;
  if (kind == 2) return most;
  return <f32>(sum / (<f64>(lastRow - firstRow + 1) * <f64>columns));
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

@inline function colour(red: v128, green: v128, blue: v128, r: i32, g: i32, b: i32, least: v128): v128 {
  const sum = i32x4.add(
    i32x4.add(i32x4.mul(red, i32x4.splat(r)), i32x4.mul(green, i32x4.splat(g))), i32x4.mul(blue, i32x4.splat(b)),
  );
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.sub(sum, least)), f32x4.splat(<f32>(1 / COLOUR_UNITS)));
}

/** Sets `colours` to Y, Cb, Cr of the run's 8-bit image less their least values, exact before they are rounded. */
function coloursOfPixels(planes: Planes): void {
  const slot = planes.slot;
  const stride = rowBytes(slot.width);
  const size = planes.planeBytes;
  const leastY = v128.load32_splat(slot.lowest);
  const leastCb = v128.load32_splat(slot.lowest, 4);
  const leastCr = v128.load32_splat(slot.lowest, 8);
  for (let y = 0; y < slot.height; y++) {
    const row = slot.deflected + <usize>y * slot.imageStride;
    let to = planes.colours + <usize>y * stride;
    for (let x = 0; x < slot.width; x += 16) {
      const at = row + <usize>x * 3;
      const v0 = v128.load(at);
      const v1 = v128.load(at, 16);
      const v2 = v128.load(at, 32);
      const red = sixteenReds(v0, v1, v2);
      const green = sixteenGreens(v0, v1, v2);
      const blue = sixteenBlues(v0, v1, v2);
      // A row of planes has room for whole vectors only.
      const vectors = min(4, (slot.width - x + 3) >> 2);
      for (let k = 0; k < vectors; k++) {
        const r16 = k < 2 ? i16x8.extend_low_i8x16_u(red) : i16x8.extend_high_i8x16_u(red);
        const g16 = k < 2 ? i16x8.extend_low_i8x16_u(green) : i16x8.extend_high_i8x16_u(green);
        const b16 = k < 2 ? i16x8.extend_low_i8x16_u(blue) : i16x8.extend_high_i8x16_u(blue);
        const r = (k & 1) == 0 ? i32x4.extend_low_i16x8_u(r16) : i32x4.extend_high_i16x8_u(r16);
        const g = (k & 1) == 0 ? i32x4.extend_low_i16x8_u(g16) : i32x4.extend_high_i16x8_u(g16);
        const b = (k & 1) == 0 ? i32x4.extend_low_i16x8_u(b16) : i32x4.extend_high_i16x8_u(b16);
        v128.store(to, colour(r, g, b, Y_R, Y_G, Y_B, leastY));
        v128.store(to + size, colour(r, g, b, CB_R, CB_G, CB_B, leastCb));
        v128.store(to + 2 * size, colour(r, g, b, CR_R, CR_G, CR_B, leastCr));
        to += VECTOR;
      }
    }
  }
}

/** Takes its least value from a plane and leaves it at `at`. Returns the range. */
function normalise(plane: usize, columns: i32, rows: i32, at: usize): f64 {
  const stride = rowBytes(columns);
  let least: f32 = f32.MAX_VALUE;
  let most: f32 = -f32.MAX_VALUE;
  for (let y = 0; y < rows; y++) {
    const row = plane + <usize>y * stride;
    for (let x = 0; x < columns; x++) {
      const value = load<f32>(row + (<usize>x << 2));
      least = min(least, value);
      most = max(most, value);
    }
  }
  const shift = f32x4.splat(least);
  for (let offset: usize = 0; offset < stride * <usize>rows; offset += VECTOR) {
    v128.store(plane + offset, f32x4.sub(v128.load(plane + offset), shift));
  }
  store<f32>(at, least);
  return <f64>most - <f64>least;
}

/** Sets a plane of `colours` to a product of the current R, G, B. */
function colourOfPlanes(planes: Planes, to: usize, kr: i32, kg: i32, kb: i32): void {
  const r = f32x4.splat(<f32>(<f64>kr / 1000));
  const g = f32x4.splat(<f32>(<f64>kg / 1000));
  const b = f32x4.splat(<f32>(<f64>kb / 1000));
  const bytes = rowBytes(planes.slot.width) * <usize>planes.slot.height;
  for (let at: usize = 0; at < bytes; at += VECTOR) {
    const red = planes.current + at;
    v128.store(to + at, f32x4.add(
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

/** As above, with a share of the threshold for each coefficient. */
function shrinkShared(band: usize, bytes: usize, threshold: f32, shares: usize, hard: bool): void {
  const whole = f32x4.splat(threshold);
  for (let at = band; at < band + bytes; at += VECTOR) {
    const d = v128.load(at);
    const t = f32x4.mul(whole, v128.load(shares));
    v128.store(at, hard
      ? v128.and(d, f32x4.ge(f32x4.abs(d), t))
      : f32x4.sub(d, f32x4.pmax(f32x4.neg(t), f32x4.pmin(t, d))));
    shares += VECTOR;
  }
}

/**
 * Denoises plane `index` of `colours`.
 *
 * @param sigma in units of Y, Cb, Cr; or `ESTIMATED`
 * @param isBytes whether the plane is that of the run's 8-bit image
 */
function denoisePlane(planes: Planes, index: i32, sigma: f64, range: f64, isBytes: bool): void {
  const slot = planes.slot;
  const filters = planes.filters;
  const length = filters.length;
  const levels = planes.levels;
  let columns = slot.width;
  let rows = slot.height;
  const plane = planes.colours + <usize>index * planes.planeBytes;
  let from = plane;
  let details = planes.details;
  let shares = planes.shares;
  if (sigma != ESTIMATED) sigma *= slot.strength;
  for (let l = 1; l <= levels; l++) {
    const keptColumns = kept(columns, length);
    const keptRows = kept(rows, length);
    const size = <usize>planeSize(keptColumns, keptRows);
    const to = (l & 1) ? planes.odd : planes.even;
    decompose(from, columns, rows, filters, to, details, details + size, details + 2 * size, planes.lines);
    if (l == 1 && sigma == ESTIMATED) {
      gather(details + 2 * size, keptColumns, keptRows, planes.magnitudes);
      sigma = estimateSigma(slot, index, isBytes, filters, planes.magnitudes, keptColumns * keptRows, planes.select);
      sigma *= slot.strength;
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
        const squares = energy(at, keptColumns, keptRows);
        threshold = sure(squares, sigma, planes.magnitudes, keptColumns * keptRows, planes.select);
      } else {
        threshold = sigma * slot.universal;
      }
      const most = <f32>min(threshold, <f64>f32.MAX_VALUE);
      if (shares) shrinkShared(at, bytes, most, shares, slot.hard != 0);
      else shrink(at, bytes, most, slot.hard != 0);
    }
    if (shares) shares += bytes;
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
    const to = l == 1 ? plane : from == planes.even ? planes.odd : planes.even;
    reconstruct(
      from, details, details + size, details + 2 * size, columns, rows, filters, to, belowColumns, belowRows,
      planes.merged,
    );
    columns = belowColumns;
    rows = belowRows;
    from = to;
  }
}

/** One plane's values, clipped to its range where `legacy`. */
@inline function restored(at: usize, legacy: bool, range: v128): v128 {
  const v = v128.load(at);
  return legacy ? f32x4.pmax(f32x4.splat(0), f32x4.pmin(range, v)) : v;
}

@inline function clipped(v: v128, legacy: bool): v128 {
  return legacy ? f32x4.pmax(f32x4.splat(0), f32x4.pmin(f32x4.splat(1), v)) : v;
}

/** From `colours` to the current R, G, B; `shifts` and `ranges` hold three numbers. */
@inline function toRgb(planes: Planes, matrix: usize, shifts: usize, ranges: usize, legacy: bool): void {
  const bytes = rowBytes(planes.slot.width) * <usize>planes.slot.height;
  const size = planes.planeBytes;
  const rangeY = v128.load32_splat(ranges);
  const rangeCb = v128.load32_splat(ranges, 4);
  const rangeCr = v128.load32_splat(ranges, 8);
  for (let at: usize = 0; at < bytes; at += VECTOR) {
    const from = planes.colours + at;
    const y = restored(from, legacy, rangeY);
    const cb = restored(from + size, legacy, rangeCb);
    const cr = restored(from + 2 * size, legacy, rangeCr);
    const to = planes.current + at;
    for (let c: usize = 0; c < 3; c++) {
      const row = matrix + c * 12;
      const v = f32x4.add(
        f32x4.add(
          f32x4.add(f32x4.mul(y, v128.load32_splat(row)), f32x4.mul(cb, v128.load32_splat(row, 4))),
          f32x4.mul(cr, v128.load32_splat(row, 8)),
        ),
        v128.load32_splat(shifts + (c << 2)),
      );
      v128.store(to + c * size, clipped(v, legacy));
    }
  }
}

/**
 * Denoises in Y, Cb, Cr.
 *
 * @param isBytes from the run's 8-bit image, whose extremes are known, else from the current planes
 * @param matrix RGB from Y, Cb, Cr: nine numbers in single precision, row by row
 */
export function denoisePlanes(planes: Planes, isBytes: i32, matrix: usize): void {
  const slot = planes.slot;
  const leasts = planes.bounds;
  const ranges = leasts + 16;
  const shifts = leasts + 32;
  if (isBytes) coloursOfPixels(planes);
  for (let index = 0; index < 3; index++) {
    const lane = <usize>index << 2;
    let range: f64;
    if (isBytes) {
      const lowest = load<i32>(slot.lowest + lane);
      range = <f64>(load<i32>(slot.greatest + lane) - lowest) / COLOUR_UNITS;
      store<f32>(leasts + lane, <f32>(<f64>lowest / COLOUR_UNITS));
    } else {
      const plane = planes.colours + <usize>index * planes.planeBytes;
      const kr = index == 0 ? Y_R : index == 1 ? CB_R : CR_R;
      const kg = index == 0 ? Y_G : index == 1 ? CB_G : CR_G;
      const kb = index == 0 ? Y_B : index == 1 ? CB_B : CR_B;
      colourOfPlanes(planes, plane, kr, kg, kb);
      range = normalise(plane, slot.width, slot.height, leasts + lane);
    }
    store<f32>(ranges + lane, <f32>range);
    if (range > 0) {
      const given = index == 0 ? slot.sigmaY : index == 1 ? slot.sigmaCb : slot.sigmaCr;
      const sigma = given == ESTIMATED ? given : slot.legacy ? given * range : given;
      denoisePlane(planes, index, sigma, range, isBytes != 0);
    }
  }
  for (let c: usize = 0; c < 3; c++) {
    const row = matrix + c * 12;
    let shift: f64 = 0;
    for (let i: usize = 0; i < 12; i += 4) shift += <f64>load<f32>(row + i) * <f64>load<f32>(leasts + i);
    store<f32>(shifts + (c << 2), <f32>shift);
  }
  if (slot.legacy) toRgb(planes, matrix, shifts, ranges, true);
  else toRgb(planes, matrix, shifts, ranges, false);
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
