/**
 * Image quilting. Guo et al., 'Countering Adversarial Images Using Input Transformations', ICLR 2018, section 4.3, after
 * Efros and Freeman, 'Image Quilting for Texture Synthesis and Transfer', SIGGRAPH 2001: the image is put together again
 * from 5x5 patches of clean images. For each place of an overlapping grid, one of the K = 10 patches of the bank nearest
 * to the image there is drawn, and joined to what is there along the cut of least error.
 *
 * Guo et al. search a million patches approximately. Here the search is exact: patches are kept as coefficients of an
 * orthonormal transform (DCT in space, 3-point DCT across the channels), coarsest first, so that few coefficients rule out
 * most patches, in a k-d tree (Friedman, Bentley, Finkel, ACM TOMS 3(3), 1977; cell distances as in Arya and Mount, 1993).
 */
import type { UniformSource } from '../defense/defender.js';
import { DeflectorError, invalid } from '../errors.js';
import { plane } from './planes.js';
import { defineStep, integer } from './step.js';

/** Patches of clean images, ready to be searched; made by {@link makePatchBank}. */
export interface PatchBank {
  /** Side of a patch in pixels. */
  readonly side: number;
  readonly count: number;
  /** float32 [count, 3 side side]: RGB in [0,1], channel by channel. */
  readonly pixels: Float32Array;
  /** float32 [count, 3 side side]: orthonormal coefficients, coarsest first. */
  readonly coefficients: Float32Array;
  /**
   * The k-d tree, a complete binary tree over the rows: node 1 holds all of them, nodes 2i and 2i + 1 the lower and the upper
   * half of node i's by coefficient `axes[i]`, told apart at `cuts[i]`; a node of at most `LEAF` rows is a leaf.
   */
  readonly axes: Uint8Array;
  readonly cuts: Float32Array;
}

/** A clean image: float32, planar [3, height, width], RGB in [0,1]. */
export interface PlanarImage {
  readonly planes: Float32Array;
  readonly width: number;
  readonly height: number;
}

/** Side of the patches of Guo et al. */
const SIDE = 5;

/**
 * Takes patches from random places of clean images, equally many from each.
 *
 * @param images at least `SIDE` pixels wide and high; those of another set than the images to be defended
 * @param count how many patches; three draws each
 * @throws DeflectorError SETTINGS_INVALID where there is no image or one is too small
 */
export function makePatchBank(images: readonly PlanarImage[], count: number, source: UniformSource): PatchBank {
  if (images.length === 0) throw invalid('images of the patch bank', 'at least one image', 'none');
  const length = 3 * SIDE * SIDE;
  const transform = orthonormal(SIDE);
  const drawn = Array.from({ length: count }, (_, i) => {
    const { planes, width, height } = images[i % images.length]!;
    if (width < SIDE || height < SIDE) {
      throw invalid('images of the patch bank', `at least ${SIDE}x${SIDE} pixels`, `${width}x${height}`);
    }
    const left = Math.floor(source.uniform() * (width - SIDE + 1));
    const top = Math.floor(source.uniform() * (height - SIDE + 1));
    const pixels = new Float32Array(length);
    read(planes, width, height, left, top, SIDE, pixels);
    const coefficients = new Float32Array(length);
    apply(transform, pixels, coefficients);
    return { pixels, coefficients };
  });
  const nodes = 2 ** (Math.ceil(Math.log2(Math.max(1, count / LEAF))) + 1);
  const bank = {
    side: SIDE,
    count,
    pixels: new Float32Array(count * length),
    coefficients: new Float32Array(count * length),
    axes: new Uint8Array(nodes),
    cuts: new Float32Array(nodes),
  };
  split(drawn, 0, count, 1, bank);
  for (const [i, patch] of drawn.entries()) {
    bank.pixels.set(patch.pixels, i * length);
    bank.coefficients.set(patch.coefficients, i * length);
  }
  return bank;
}

/** Rows of a leaf, at most. */
const LEAF = 8;

/** Orders rows `from` to `to` of a node by halves, along the coefficient that spreads most among the coarsest. */
function split(
  patches: { readonly coefficients: Float32Array }[],
  from: number,
  to: number,
  node: number,
  tree: Pick<PatchBank, 'axes' | 'cuts'>,
): void {
  if (to - from <= LEAF) return;
  let axis = 0;
  let widest = -1;
  for (let k = 0; k < 16; k++) {
    let sum = 0;
    let squares = 0;
    for (let i = from; i < to; i++) {
      const value = patches[i]!.coefficients[k]!;
      sum += value;
      squares += value * value;
    }
    const variance = squares - (sum * sum) / (to - from);
    if (variance > widest) [axis, widest] = [k, variance];
  }
  const sorted = patches.slice(from, to).sort((a, b) => a.coefficients[axis]! - b.coefficients[axis]!);
  for (const [i, patch] of sorted.entries()) patches[from + i] = patch;
  const middle = (from + to) >> 1;
  tree.axes[node] = axis;
  tree.cuts[node] = patches[middle]!.coefficients[axis]!;
  split(patches, from, middle, 2 * node, tree);
  split(patches, middle, to, 2 * node + 1, tree);
}

/**
 * Quilts in place.
 *
 * @param planes float32, planar [3, height, width]
 * @param neighbours K: how many nearest patches are drawn from
 * @param source one draw a place of the grid
 */
function quilt(
  planes: Float32Array,
  width: number,
  height: number,
  bank: PatchBank,
  neighbours: number,
  source: UniformSource,
): void {
  const { side } = bank;
  const length = 3 * side * side;
  const overlap = side >> 1;
  const transform = orthonormal(side);
  const original = Float32Array.from(planes);
  const wanted = new Float32Array(length);
  const coefficients = new Float32Array(length);
  const nearest = new NearestPatches(bank, Math.min(neighbours, bank.count));
  const lefts = starts(width, side, side - overlap);
  const tops = starts(height, side, side - overlap);
  for (const [row, top] of tops.entries()) {
    const above = row === 0 ? 0 : tops[row - 1]! + side - top;
    for (const [column, left] of lefts.entries()) {
      const before = column === 0 ? 0 : lefts[column - 1]! + side - left;
      read(original, width, height, left, top, side, wanted);
      apply(transform, wanted, coefficients);
      const found = nearest.find(coefficients);
      const chosen = found[Math.floor(source.uniform() * found.length)]!;
      place(
        planes,
        width,
        height,
        left,
        top,
        side,
        bank.pixels.subarray(chosen * length, (chosen + 1) * length),
        before,
        above,
      );
    }
  }
}

/** First columns (or rows) of the patches: a step apart, the last one ending with the image. */
function starts(length: number, side: number, step: number): number[] {
  const last = Math.max(0, length - side);
  return [...Array.from({ length: Math.ceil(last / step) }, (_, i) => i * step), last];
}

/** Copies a patch out, channel by channel; places beyond a small image repeat its edge. */
function read(
  planes: Float32Array,
  width: number,
  height: number,
  left: number,
  top: number,
  side: number,
  out: Float32Array,
): void {
  for (let c = 0, at = 0; c < 3; c++) {
    const values = plane(planes, c, width, height);
    for (let y = 0; y < side; y++) {
      const row = Math.min(top + y, height - 1) * width;
      for (let x = 0; x < side; x++, at++) out[at] = values[row + Math.min(left + x, width - 1)]!;
    }
  }
}

/** The rows of the orthonormal transform of a patch, coarsest first. */
function orthonormal(side: number): Float32Array[] {
  const wave = (size: number, k: number, x: number): number =>
    Math.sqrt((k === 0 ? 1 : 2) / size) * Math.cos((Math.PI * k * (2 * x + 1)) / (2 * size));
  const rows: { roughness: number; row: Float32Array }[] = [];
  for (let kc = 0; kc < 3; kc++) {
    for (let ky = 0; ky < side; ky++) {
      for (let kx = 0; kx < side; kx++) {
        const row = Float32Array.from({ length: 3 * side * side }, (_, i) => {
          const [c, y, x] = [Math.floor(i / (side * side)), Math.floor(i / side) % side, i % side] as const;
          return wave(3, kc, c) * wave(side, ky, y) * wave(side, kx, x);
        });
        // Colour differences carry less than luminance: they come after the next coarser waves.
        rows.push({ roughness: kx + ky + 2 * kc, row });
      }
    }
  }
  return rows.sort((a, b) => a.roughness - b.roughness).map(({ row }) => row);
}

function apply(transform: readonly Float32Array[], from: Float32Array, to: Float32Array): void {
  for (const [k, row] of transform.entries()) {
    let sum = 0;
    for (let i = 0; i < row.length; i++) sum += row[i]! * from[i]!;
    to[k] = sum;
  }
}

/** Exact search of the nearest patches. */
class NearestPatches {
  private readonly length: number;
  /** Squared distances of the nearest patches so far, ascending, and which they are. */
  private readonly distances: Float64Array;
  private readonly indices: Int32Array;
  /** How far the cell in hand lies from what is wanted, along each axis. */
  private readonly offsets: Float64Array;

  constructor(
    private readonly bank: PatchBank,
    neighbours: number,
  ) {
    this.length = 3 * bank.side * bank.side;
    this.distances = new Float64Array(neighbours);
    this.indices = new Int32Array(neighbours);
    this.offsets = new Float64Array(this.length);
  }

  /** @returns the nearest patches, nearest first; valid until the next call */
  find(wanted: Float32Array): Int32Array {
    this.distances.fill(Number.POSITIVE_INFINITY);
    this.offsets.fill(0);
    this.search(1, 0, this.bank.count, 0, wanted);
    return this.indices;
  }

  /** Searches the rows of a node, of which none is nearer than `bound` (squared). */
  private search(node: number, from: number, to: number, bound: number, wanted: Float32Array): void {
    if (to - from <= LEAF) {
      for (let row = from; row < to; row++) this.consider(row, wanted);
      return;
    }
    const axis = this.bank.axes[node]!;
    const beyond = wanted[axis]! - this.bank.cuts[node]!;
    const middle = (from + to) >> 1;
    if (beyond < 0) this.search(2 * node, from, middle, bound, wanted);
    else this.search(2 * node + 1, middle, to, bound, wanted);
    const offset = this.offsets[axis]!;
    const far = bound - offset * offset + beyond * beyond;
    if (far >= this.distances[this.distances.length - 1]!) return;
    this.offsets[axis] = beyond;
    if (beyond < 0) this.search(2 * node + 1, middle, to, far, wanted);
    else this.search(2 * node, from, middle, far, wanted);
    this.offsets[axis] = offset;
  }

  private consider(row: number, wanted: Float32Array): void {
    const { coefficients } = this.bank;
    const { distances, indices, length } = this;
    const limit = distances[distances.length - 1]!;
    const base = row * length;
    let distance = 0;
    for (let k = 0; k < length; ) {
      for (const end = Math.min(k + 5, length); k < end; k++) {
        const difference = coefficients[base + k]! - wanted[k]!;
        distance += difference * difference;
      }
      if (distance >= limit) return;
    }
    let at = distances.length - 1;
    while (at > 0 && distances[at - 1]! > distance) {
      distances[at] = distances[at - 1]!;
      indices[at] = indices[at - 1]!;
      at--;
    }
    distances[at] = distance;
    indices[at] = row;
  }
}

/**
 * Writes a patch over the image, keeping what is there on the far side of the cuts.
 *
 * @param before columns, and `above` rows, that overlap what is there already
 */
function place(
  planes: Float32Array,
  width: number,
  height: number,
  left: number,
  top: number,
  side: number,
  patch: Float32Array,
  before: number,
  above: number,
): void {
  const area = width * height;
  const error = new Float64Array(side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const at = Math.min(top + y, height - 1) * width + Math.min(left + x, width - 1);
      for (let c = 0; c < 3; c++) {
        error[y * side + x]! += (planes[at + c * area]! - patch[(c * side + y) * side + x]!) ** 2;
      }
    }
  }
  const fromLeft = before > 0 ? leastCut(side, before, (along, across) => error[along * side + across]!) : undefined;
  const fromTop = above > 0 ? leastCut(side, above, (along, across) => error[across * side + along]!) : undefined;
  for (let y = 0; y < side && top + y < height; y++) {
    for (let x = 0; x < side && left + x < width; x++) {
      if (fromLeft !== undefined && x < fromLeft[y]!) continue;
      if (fromTop !== undefined && y < fromTop[x]!) continue;
      const at = (top + y) * width + left + x;
      for (let c = 0; c < 3; c++) planes[at + c * area] = patch[(c * side + y) * side + x]!;
    }
  }
}

/** The connected path of least error along an overlap (Efros and Freeman, section 2.1): for each place, the first one of the new patch. */
function leastCut(length: number, breadth: number, error: (along: number, across: number) => number): Int32Array {
  const cost = new Float64Array(length * breadth);
  for (let along = 0; along < length; along++) {
    for (let across = 0; across < breadth; across++) {
      let least = along === 0 ? 0 : Number.POSITIVE_INFINITY;
      for (let from = Math.max(0, across - 1); along > 0 && from <= Math.min(breadth - 1, across + 1); from++) {
        least = Math.min(least, cost[(along - 1) * breadth + from]!);
      }
      cost[along * breadth + across] = least + error(along, across);
    }
  }
  const path = new Int32Array(length);
  let lowest = 0;
  let highest = breadth - 1;
  for (let along = length - 1; along >= 0; along--) {
    let best = lowest;
    for (let across = lowest; across <= highest; across++) {
      if (cost[along * breadth + across]! < cost[along * breadth + best]!) best = across;
    }
    path[along] = best;
    lowest = Math.max(0, best - 1);
    highest = Math.min(breadth - 1, best + 1);
  }
  return path;
}

export const quilting = defineStep({
  name: 'quilt',
  random: true,
  needs: 'patches',
  parameters: { neighbours: integer(10, 1, 100) },
  apply(planes, width, height, { neighbours }, source, { patches }) {
    if (patches === undefined) {
      throw new DeflectorError(
        'SETTINGS_INVALID',
        'Expected a bank of clean patches for --order quilt but received none',
      );
    }
    quilt(planes, width, height, patches, neighbours, source);
  },
});
