/**
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), four blocks of consecutive counters at a time: the same numbers as
 * random.ts draws one by one.
 */

/** Upper and lower halves of four 64-bit products, from those of lanes 0, 1 and of lanes 2, 3. */
@inline function upper(low: v128, high: v128): v128 {
  return i32x4.shuffle(low, high, 1, 3, 5, 7);
}
@inline function lower(low: v128, high: v128): v128 {
  return i32x4.shuffle(low, high, 0, 2, 4, 6);
}

/**
 * Writes 4 * `blocks` words (a multiple of 16) from the blocks with counters (c0, c1, c2, c3), (c0 + 1, c1, c2, c3) ...; c0
 * wraps around.
 */
export function philox(to: usize, blocks: i32, c0: i32, c1: i32, c2: i32, c3: i32, k0: i32, k1: i32): void {
  const m0 = i32x4.splat(0xd2511f53);
  const m1 = i32x4.splat(0xcd9e8d57);
  let counter = i32x4.add(i32x4.splat(c0), i32x4(0, 1, 2, 3));
  for (let block = 0; block < blocks; block += 4) {
    let x0 = counter;
    let x1 = i32x4.splat(c1);
    let x2 = i32x4.splat(c2);
    let x3 = i32x4.splat(c3);
    let key0 = k0;
    let key1 = k1;
    for (let round = 0; round < 10; round++) {
      const low0 = i64x2.extmul_low_i32x4_u(x0, m0);
      const high0 = i64x2.extmul_high_i32x4_u(x0, m0);
      const low1 = i64x2.extmul_low_i32x4_u(x2, m1);
      const high1 = i64x2.extmul_high_i32x4_u(x2, m1);
      const y0 = v128.xor(v128.xor(upper(low1, high1), x1), i32x4.splat(key0));
      const y2 = v128.xor(v128.xor(upper(low0, high0), x3), i32x4.splat(key1));
      x1 = lower(low1, high1);
      x3 = lower(low0, high0);
      x0 = y0;
      x2 = y2;
      key0 += 0x9e3779b9;
      key1 += 0xbb67ae85;
    }
    // From word by word to block by block.
    const a = i32x4.shuffle(x0, x1, 0, 4, 1, 5);
    const b = i32x4.shuffle(x2, x3, 0, 4, 1, 5);
    const c = i32x4.shuffle(x0, x1, 2, 6, 3, 7);
    const d = i32x4.shuffle(x2, x3, 2, 6, 3, 7);
    v128.store(to, i32x4.shuffle(a, b, 0, 1, 4, 5));
    v128.store(to, i32x4.shuffle(a, b, 2, 3, 6, 7), 16);
    v128.store(to, i32x4.shuffle(c, d, 0, 1, 4, 5), 32);
    v128.store(to, i32x4.shuffle(c, d, 2, 3, 6, 7), 48);
    to += 64;
    counter = i32x4.add(counter, i32x4.splat(4));
  }
}
