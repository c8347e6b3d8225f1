/**
 * Order statistics of magnitudes: the median that estimates noise, and the threshold that minimises Stein's risk. Both are
 * found through histograms; only what a histogram cannot settle is sorted.
 */

/** Bins of a histogram. */
const BINS: i32 = 2048;

/** Bytes of working memory of `medianOfNonZero` and `sureThreshold` for `count` magnitudes. */
export function selectBytes(count: i32): usize {
  return <usize>BINS * 12 + 64 + <usize>count * 4;
}

/** The `rank`-th smallest (from 0) of `count` positive numbers: by their bits, which order as they do. */
function select(values: usize, count: i32, rank: i32, counts: usize): f32 {
  let low: u32 = 0;
  let left = rank;
  // Bits 31 to 21, 20 to 10, 9 to 0.
  for (let pass = 0; pass < 3; pass++) {
    const shift: u32 = pass == 0 ? 21 : pass == 1 ? 10 : 0;
    const fixed: u32 = pass == 0 ? 0 : pass == 1 ? 0xffe00000 : 0xfffffc00;
    const mask: u32 = pass == 2 ? 0x3ff : 0x7ff;
    memory.fill(counts, 0, <usize>BINS * 4);
    for (let i = 0; i < count; i++) {
      const bits = load<u32>(values + (<usize>i << 2));
      if ((bits & fixed) != low) continue;
      const bin = counts + (<usize>((bits >> shift) & mask) << 2);
      store<u32>(bin, load<u32>(bin) + 1);
    }
    let bin: u32 = 0;
    while (true) {
      const here = <i32>load<u32>(counts + (<usize>bin << 2));
      if (left < here) break;
      left -= here;
      bin++;
    }
    low |= bin << shift;
  }
  return reinterpret<f32>(low);
}

/**
 * Median of the magnitudes that are not zero, which are moved to the front; 0 where there are none.
 *
 * @param work `selectBytes` of working memory
 */
export function medianOfNonZero(values: usize, count: i32, work: usize): f64 {
  let used = 0;
  for (let i = 0; i < count; i++) {
    const value = load<f32>(values + (<usize>i << 2));
    store<f32>(values + (<usize>used << 2), value);
    used += value != 0 ? 1 : 0;
  }
  if (used == 0) return 0;
  const middle = used >> 1;
  const upper = <f64>select(values, used, middle, work);
  if (used & 1) return upper;
  return (<f64>select(values, used, middle - 1, work) + upper) / 2;
}

/** Sorts numbers in place, ascending: heap sort. */
function sort(values: usize, count: i32): void {
  for (let start = (count >> 1) - 1; start >= 0; start--) sink(values, start, count);
  for (let end = count - 1; end > 0; end--) {
    const last = load<f32>(values + (<usize>end << 2));
    store<f32>(values + (<usize>end << 2), load<f32>(values));
    store<f32>(values, last);
    sink(values, 0, end);
  }
}

function sink(values: usize, from: i32, count: i32): void {
  const value = load<f32>(values + (<usize>from << 2));
  let hole = from;
  while (true) {
    let child = 2 * hole + 1;
    if (child >= count) break;
    if (child + 1 < count && load<f32>(values + (<usize>(child + 1) << 2)) > load<f32>(values + (<usize>child << 2))) child++;
    const larger = load<f32>(values + (<usize>child << 2));
    if (larger <= value) break;
    store<f32>(values + (<usize>hole << 2), larger);
    hole = child;
  }
  store<f32>(values + (<usize>hole << 2), value);
}

/**
 * The t among 0 and the magnitudes up to `universal` that minimises Stein's unbiased estimate of the risk (Donoho and
 * Johnstone 1995), the first where several do: with d magnitudes y of noise s^2, (d - 2 #{y <= t}) s^2 + sum min(y, t)^2.
 * It is one of the magnitudes, bit for bit, so that hard thresholding keeps it.
 *
 * A bin of [0, universal] is looked into only where its risk can be below the least that is known. With C, S the count
 * and the sum of squares before the bin and C', S' after it, the risk is at most (d - 2 C') s^2 + S' + (d - C') end^2 at
 * its last magnitude, and at least (d - 2 C') s^2 + S + (d - C) begin^2 everywhere.
 *
 * @param values `count` magnitudes
 * @param noise s^2
 * @param work `selectBytes` of working memory
 */
export function leastRisk(values: usize, count: i32, noise: f64, universal: f64, work: usize): f32 {
  const squares = work;
  const counts = work + <usize>BINS * 8;
  const found = counts + <usize>BINS * 4;
  memory.fill(squares, 0, <usize>BINS * 12);
  const scale = <f32>(<f64>(BINS - 1) / universal);
  for (let i = 0; i < count; i++) {
    const value = load<f32>(values + (<usize>i << 2));
    if (<f64>value > universal) continue;
    const bin = <usize>(value * scale);
    const square = squares + (bin << 3);
    store<f64>(square, load<f64>(square) + <f64>value * <f64>value);
    store<u32>(counts + (bin << 2), load<u32>(counts + (bin << 2)) + 1);
  }
  const d = <f64>count;
  const width = 1 / <f64>scale;
  let before = 0.0;
  let beforeSquares = 0.0;
  let bound = f64.MAX_VALUE;
  for (let bin = 0; bin < BINS; bin++) {
    const here = <f64>load<u32>(counts + (<usize>bin << 2));
    if (here == 0) continue;
    before += here;
    beforeSquares += load<f64>(squares + (<usize>bin << 3));
    // One part in a million more: a magnitude at the end of its bin may have been rounded into it.
    const end = <f64>(bin + 1) * width * 1.000001;
    bound = min(bound, (d - 2 * before) * noise + beforeSquares + (d - before) * end * end);
  }
  // The lowest bit of a count now marks a bin that can hold the least risk.
  before = 0;
  beforeSquares = 0;
  for (let bin = 0; bin < BINS; bin++) {
    const at = counts + (<usize>bin << 2);
    const inside = load<u32>(at);
    const begin = <f64>bin * width * 0.999999;
    const after = before + <f64>inside;
    const leastInside = (d - 2 * after) * noise + beforeSquares + (d - before) * begin * begin;
    const canHold = inside != 0 && leastInside <= bound;
    store<u32>(at, (inside << 1) | (canHold ? 1 : 0));
    before = after;
    beforeSquares += load<f64>(squares + (<usize>bin << 3));
  }
  let collected = 0;
  let zeros = 0;
  for (let i = 0; i < count; i++) {
    const value = load<f32>(values + (<usize>i << 2));
    zeros += value == 0 ? 1 : 0;
    if (<f64>value > universal) continue;
    if ((load<u32>(counts + (<usize>(value * scale) << 2)) & 1) == 0) continue;
    store<f32>(found + (<usize>collected << 2), value);
    collected++;
  }
  sort(found, collected);

  let best: f32 = 0;
  let least = (d - 2 * <f64>zeros) * noise;
  let next = 0;
  before = 0;
  beforeSquares = 0;
  for (let bin = 0; bin < BINS; bin++) {
    const marked = load<u32>(counts + (<usize>bin << 2));
    const inside = <i32>(marked >> 1);
    if (marked & 1) {
      let below = beforeSquares;
      let k = 0;
      while (k < inside) {
        const t = load<f32>(found + (<usize>next << 2));
        while (k < inside && load<f32>(found + (<usize>next << 2)) == t) {
          below += <f64>t * <f64>t;
          k++;
          next++;
        }
        const above = d - before - <f64>k;
        const risk = (d - 2 * (before + <f64>k)) * noise + below + above * <f64>t * <f64>t;
        if (risk < least) {
          least = risk;
          best = t;
        }
      }
    }
    before += <f64>inside;
    beforeSquares += load<f64>(squares + (<usize>bin << 3));
  }
  return best;
}
