/**
 * The memory of one prepared image. Everything lies in one block whose size follows from width, height and levels, so a
 * slot can be given to another image of the same size without a word of bookkeeping.
 *
 * Vectors hold four neighbouring blocks of 2 x 2. What is read together lies together: the details of four blocks are
 * nine vectors (Y, Cb, Cr; in each H, V, D), an approximation three (Y, Cb, Cr).
 */

import { TILE, tileCount } from './extremes';

/** Bytes of one vector. */
@inline export const VECTOR: usize = 16;
/** Bytes of the details of four blocks: three planes of three bands. */
@inline export const DETAILS: usize = 144;
/** Bytes of one plane's part of them. */
@inline export const PLANE_DETAILS: usize = 48;
/** Bytes of the approximation of four blocks: three planes. */
@inline export const APPROXIMATION: usize = 48;
/** Bytes of sixteen RGB pixels. */
@inline export const SIXTEEN_PIXELS: usize = 48;
/** Bytes of one band's second moments: RR, GG, BB, -, RG, GB, BR, - as 64-bit integers. */
@inline export const MOMENTS: usize = 64;
/** Bytes of the second moments of a level: H, V, D. */
@inline export const LEVEL_MOMENTS: usize = 192;
/** Deflections that the sparse path takes at most; also the length of the list that the host fills. */
@inline export const LIST_LENGTH: i32 = 8192;

/** One level of the decomposition; the host asks for eleven at most, at which every sum still fits 32 bits. */
@unmanaged
export class Level {
  /** Blocks a row and a column. */
  columns: i32;
  rows: i32;
  /** Vectors of four blocks a row. */
  groups: i32;
  /** Places for blocks in a row of `sums`: those of the next level's groups are all there, as zeros beyond the image. */
  sumColumns: i32;
  /** Sums over the pixels of each block: R, G, B, 0 as 32-bit integers. */
  sums: usize;
  /** Row stride of `details` in bytes. */
  detailStride: usize;
  details: usize;
  /** Row stride of `approximation` in bytes. */
  approximationStride: usize;
  approximation: usize;
  /** For each block the number of its touch, from 1, or 0. 32-bit integers. */
  touchOf: usize;
  /** Blocks that the current run's deflections change. */
  touches: usize;
  touchCount: i32;
  /** Second moments of the integer details: of the image, and of the current run. */
  moments: usize;
  runMoments: usize;
  /** Thresholds of the current run in units of `details`: plane by plane H, V, D. */
  thresholds: usize;
  /** For each block the share of the threshold that holds there, rows of whole vectors; 0: the whole one everywhere. */
  shares: usize;
}

/** A block that a run changes, with the change of its sum and of its three details: R, G, B, - as 32-bit integers. */
@unmanaged
export class Touch {
  x: i32;
  y: i32;
}
@inline export const TOUCH_SUM: usize = 16;
@inline export const TOUCH_H: usize = 32;
@inline export const TOUCH_V: usize = 48;
@inline export const TOUCH_D: usize = 64;
/** Bytes of one touch. */
@inline export const TOUCH: usize = 80;

@unmanaged
export class Slot {
  width: i32;
  height: i32;
  levels: i32;
  /** Deflections up to which only what they touch is computed anew. */
  sparseLimit: i32;
  /** Row stride of the two images in bytes; rows are filled up with zeros after the repeated last pixel of an odd width. */
  imageStride: usize;
  /** The image, 8-bit RGB. */
  image: usize;
  /** The image of the current run; equal to `image` between runs. */
  deflected: usize;
  /** Where the host puts the pixels, row by row without gaps. */
  arrival: usize;
  /** Whether sums, details, moments and extremes are those of `image`. */
  isBase: i32;
  /** Two rows of pixels on their way from the last inverse step to the output. */
  pixelRows: usize;
  /** Least and greatest Y, Cb, Cr (times 255,000, without offset) of the current run, and of the image. */
  lowest: usize;
  greatest: usize;
  baseLowest: usize;
  baseGreatest: usize;
  /** A pixel, row * width + column, for each: three of the least values, three of the greatest. */
  witnesses: usize;
  baseWitnesses: usize;
  /** What the survey of an image leaves behind, see extremes.ts. */
  tiles: usize;
  /** See thresholds.ts. */
  rule: i32;
  /** Whether the scale of the noise follows the range of the planes (`legacy`), and planes and pixels are clipped. */
  legacy: i32;
  hard: i32;
  /** Whether the ranges of the planes can change a result. */
  needsExtremes: i32;
  /** Noise standard deviation: on the planes scaled to [0,1] (`legacy`), in units of Y, Cb, Cr (`modern`), or estimated. */
  sigmaY: f64;
  sigmaCb: f64;
  sigmaCr: f64;
  /** Multiple of sigma that the universal rule takes as its threshold. */
  universal: f64;
  /** Factor on sigma, given or estimated, in the current run. */
  strength: f64;
  /** The Haar filters, magnitudes of one sub-band and working memory to select from them: where a rule needs them. */
  filters: usize;
  magnitudes: usize;
  select: usize;
}

@inline export function levelOf(slot: Slot, level: i32): Level {
  return changetype<Level>(changetype<usize>(slot) + SLOT_HEAD + <usize>(level - 1) * LEVEL_HEAD);
}

@inline const SLOT_HEAD: usize = 256;
@inline const LEVEL_HEAD: usize = 64;

@inline function aligned(bytes: u64): u64 {
  return (bytes + 63) & ~63;
}

/** Lays a slot out from address `at`; with `write` false only the size is found. Returns its bytes. */
function place(at: usize, width: i32, height: i32, levels: i32, write: bool): u64 {
  const slot = changetype<Slot>(at);
  let cursor: u64 = aligned(SLOT_HEAD + <u64>levels * LEVEL_HEAD);
  const chunks: u64 = (<u64>width + 15) / 16;
  const imageStride: u64 = chunks * SIXTEEN_PIXELS;
  // One vector more: pixels are read four bytes at a time.
  const imageBytes = aligned(imageStride * <u64>height + 16);
  const pixels: u64 = <u64>width * <u64>height;
  const sparseLimit: u64 = min<u64>(pixels / SPARSE_SHARE, LIST_LENGTH);
  if (write) {
    slot.width = width;
    slot.height = height;
    slot.levels = levels;
    slot.sparseLimit = <i32>sparseLimit;
    slot.imageStride = <usize>imageStride;
    slot.isBase = 0;
    slot.strength = 1;
    slot.image = at + <usize>cursor;
    slot.deflected = at + <usize>(cursor + imageBytes);
  }
  cursor += 2 * imageBytes;
  if (write) {
    slot.lowest = at + <usize>cursor;
    slot.greatest = slot.lowest + VECTOR;
    slot.baseLowest = slot.lowest + 2 * VECTOR;
    slot.baseGreatest = slot.lowest + 3 * VECTOR;
    slot.witnesses = slot.lowest + 4 * VECTOR;
    slot.baseWitnesses = slot.lowest + 6 * VECTOR;
  }
  cursor += 128;
  if (write) slot.tiles = at + <usize>cursor;
  cursor += aligned(tileCount(width, height) * TILE);

  let columns: u64 = width;
  let rows: u64 = height;
  for (let l = 1; l <= levels; l++) {
    columns = (columns + 1) / 2;
    rows = (rows + 1) / 2;
    const groups: u64 = (columns + 3) / 4;
    const nextGroups: u64 = ((columns + 1) / 2 + 3) / 4;
    const storedGroups = l == 1 ? chunks * 2 : groups;
    const sumColumns = max<u64>(storedGroups * 4, nextGroups * 8);
    const touches = min<u64>(sparseLimit, columns * rows);
    const detailStride = storedGroups * DETAILS;
    // The inverse step of the next level writes eight blocks at a time and two rows.
    const approximationStride = max<u64>(groups, nextGroups * 2) * APPROXIMATION;
    const sumsBytes = aligned(sumColumns * rows * VECTOR);
    const detailBytes = aligned(detailStride * rows);
    const approximationBytes = aligned(approximationStride * (rows + 1));
    const touchOfBytes = aligned(columns * rows * 4);
    const touchesBytes = aligned(touches * TOUCH);
    if (write) {
      const level = levelOf(slot, l);
      level.columns = <i32>columns;
      level.rows = <i32>rows;
      level.groups = <i32>groups;
      level.sumColumns = <i32>sumColumns;
      level.detailStride = <usize>detailStride;
      level.approximationStride = <usize>approximationStride;
      level.touchCount = 0;
      level.shares = 0;
      let here = at + <usize>cursor;
      level.sums = here;
      here += <usize>sumsBytes;
      level.details = here;
      here += <usize>detailBytes;
      level.approximation = here;
      here += <usize>approximationBytes;
      level.touchOf = here;
      memory.fill(here, 0, <usize>touchOfBytes);
      here += <usize>touchOfBytes;
      level.touches = here;
      here += <usize>touchesBytes;
      level.moments = here;
      level.runMoments = here + LEVEL_MOMENTS;
      level.thresholds = here + 2 * LEVEL_MOMENTS;
    }
    cursor += sumsBytes + detailBytes + approximationBytes + touchOfBytes + touchesBytes + aligned(2 * LEVEL_MOMENTS + 36);
  }
  const pixelRowBytes = aligned(<u64>levelGroups(width) * 2 * APPROXIMATION);
  if (write) {
    slot.pixelRows = at + <usize>cursor;
    // Pixels that need no filling up arrive in their place; others wait where the run's image will be.
    slot.arrival = imageStride == <u64>width * 3 ? slot.image : slot.deflected;
  }
  cursor += 2 * pixelRowBytes;
  return cursor;
}

/** Pixels for each deflection below which a run is computed from what it touches. */
@inline const SPARSE_SHARE: u64 = 48;

@inline function levelGroups(width: i32): i32 {
  return ((width + 1) / 2 + 3) / 4;
}

/** Bytes that a slot takes; more than an address can name where the image is too large. */
export function slotBytes(width: i32, height: i32, levels: i32): f64 {
  return <f64>place(0, width, height, levels, false);
}

/** Lays an empty slot out. */
export function openSlot(at: usize, width: i32, height: i32, levels: i32): void {
  place(at, width, height, levels, true);
}
