/**
 * Order statistics of magnitudes: the median that estimates noise, and the threshold that minimises Stein's risk. Both are
 * found through histograms; only what a histogram cannot settle is sorted.
 */

/** Bins of a histogram. */
const BINS: i32 = 2048;

/** Bytes of working memory of `medianOfNonZero` and `sureThreshold` for `count` magnitudes. */
export function selectBytes(count: i32): usize {
  return <usize>BINS * 4 + 64 + <usize>count * 4;
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
    const at = values + (<usize>child << 2);
    if (child + 1 < count && load<f32>(at, 4) > load<f32>(at)) child++;
    const larger = load<f32>(values + (<usize>child << 2));
    if (larger <= value) break;
    store<f32>(values + (<usize>hole << 2), larger);
    hole = child;
  }
  store<f32>(values + (<usize>hole << 2), value);
}

/** What lifts a number of at most 2^22 so that the low bits of its single-precision form are the nearest integer. */
const LIFT: f32 = 8388608;

/**
 * The t among 0 and the magnitudes up to `universal` that minimises Stein's unbiased estimate of the risk (Donoho and
 * Johnstone 1995), the first where several do: with d magnitudes y of noise s^2, (d - 2 #{y <= t}) s^2 + sum min(y, t)^2.
 * It is one of the magnitudes, bit for bit, so that hard thresholding keeps it.
 *
 * A histogram bounds the risk in each of its bins. With C, C' the counts before and after a bin from `begin` to `end`, and
 * S, S' bounds of the sums of squares, the risk is at most (d - 2 C') s^2 + S' + (d - C') end^2 at its last magnitude, and
 * at least (d - 2 C') s^2 + S + (d - C) begin^2 everywhere. Only the span of bins that can hold the least is sorted.
 *
 * @param values `count` magnitudes; what lies behind them, to a whole vector, is overwritten
 * @param noise s^2
 * @param work `selectBytes` of working memory
 */
export function leastRisk(values: usize, count: i32, noise: f64, universal: f64, work: usize): f32 {
  const counts = work;
  const found = work + <usize>BINS * 4;
  // Few magnitudes need few bins: going through them costs as much as going through the magnitudes.
  const bins = min(BINS, 16 + count / 4);
  memory.fill(counts, 0, <usize>bins * 4);
  for (let i = count; i & 3; i++) store<f32>(values + (<usize>i << 2), f32.MAX_VALUE);
  const bytes = (<usize>count * 4 + 15) & ~15;
  // The last bin takes what lies above `universal`.
  const scale = <f32>(<f64>(bins - 2) / universal);
  const factor = f32x4.splat(scale);
  const lift = f32x4.splat(LIFT);
  const top = f32x4.splat(<f32>(bins - 1));
  for (let at: usize = 0; at < bytes; at += 16) {
    const place = f32x4.pmin(top, f32x4.mul(v128.load(values + at), factor));
    const offsets = i32x4.shl(f32x4.add(place, lift), 2);
    count1(counts, i32x4.extract_lane(offsets, 0));
    count1(counts, i32x4.extract_lane(offsets, 1));
    count1(counts, i32x4.extract_lane(offsets, 2));
    count1(counts, i32x4.extract_lane(offsets, 3));
  }

  // Bin b holds what rounds to it; a little more on both sides covers the rounding of the product.
  const d = <f64>count;
  const width = 1 / <f64>scale;
  let before = 0.0;
  let most = 0.0;
  let bound = d * noise;
  // Some of the last bin but one may lie above `universal`: then its last magnitude is no choice.
  for (let bin = 0; bin < bins - 2; bin++) {
    const inside = <f64>load<u32>(counts + (<usize>bin << 2));
    if (inside == 0) continue;
    const end = (<f64>bin + 0.501) * width;
    before += inside;
    most += inside * end * end;
    bound = min(bound, (d - 2 * before) * noise + most + (d - before) * end * end);
  }
  let first = bins;
  let last = -1;
  let firstCount = 0.0;
  let least = 0.0;
  before = 0;
  for (let bin = 0; bin < bins - 1; bin++) {
    const inside = <f64>load<u32>(counts + (<usize>bin << 2));
    if (inside == 0) continue;
    const begin = max((<f64>bin - 0.501) * width, 0);
    if ((d - 2 * (before + inside)) * noise + least + (d - before) * begin * begin <= bound) {
      if (last < 0) {
        first = bin;
        firstCount = before;
      }
      last = bin;
    }
    before += inside;
    least += inside * begin * begin;
  }

  // The sum of squares before the span, and the magnitudes in it.
  const lowest = f32x4.splat(<f32>first);
  const highest = f32x4.splat(<f32>last);
  let squares = f64x2.splat(0);
  let collected = 0;
  for (let at: usize = 0; at < bytes; at += 16) {
    const v = v128.load(values + at);
    const place = f32x4.sub(f32x4.add(f32x4.pmin(top, f32x4.mul(v, factor)), lift), lift);
    const isBefore = f32x4.lt(place, lowest);
    const kept = v128.and(v, isBefore);
    const pair = f64x2.promote_low_f32x4(kept);
    const other = f64x2.promote_low_f32x4(f32x4.shuffle(kept, kept, 2, 3, 0, 1));
    squares = f64x2.add(squares, f64x2.add(f64x2.mul(pair, pair), f64x2.mul(other, other)));
    const isInside = v128.andnot(f32x4.le(place, highest), isBefore);
    if (!v128.any_true(isInside)) continue;
    const lanes = i32x4.bitmask(isInside);
    for (let lane = 0; lane < 4; lane++) {
      store<f32>(found + (<usize>collected << 2), load<f32>(values + at + (<usize>lane << 2)));
      collected += (lanes >> lane) & 1;
    }
  }
  sort(found, collected);

  let below = f64x2.extract_lane(squares, 0) + f64x2.extract_lane(squares, 1);
  let zeros = 0.0;
  if (first == 0) while (<i32>zeros < collected && load<f32>(found + (<usize>zeros << 2)) == 0) zeros += 1;
  let best: f32 = 0;
  let leastKnown = (d - 2 * zeros) * noise;
  for (let k = 0; k < collected; ) {
    const t = load<f32>(found + (<usize>k << 2));
    if (<f64>t > universal) break;
    while (k < collected && load<f32>(found + (<usize>k << 2)) == t) {
      below += <f64>t * <f64>t;
      k++;
    }
    const smaller = firstCount + <f64>k;
    const risk = (d - 2 * smaller) * noise + below + (d - smaller) * <f64>t * <f64>t;
    if (risk < leastKnown) {
      leastKnown = risk;
      best = t;
    }
  }
  return best;
}

@inline function count1(counts: usize, offset: i32): void {
  const at = counts + (<usize>offset & 0x1ffc);
  store<u32>(at, load<u32>(at) + 1);
}
