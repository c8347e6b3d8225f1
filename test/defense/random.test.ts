import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { philox4x32, runRandom } from '../../src/defense/random.js';

const HASH = 'a'.repeat(64);

describe('Philox4x32-10', () => {
  // Known-answer vectors published with Random123 (file kat_vectors, "philox4x32 10").
  const vectors: readonly [counter: number[], key: number[], expected: number[]][] = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];
  for (const [counter, key, expected] of vectors) {
    it(`gives the published block for counter ${counter[0]!.toString(16)}...`, () => {
      const out = new Uint32Array(4);
      philox4x32(Uint32Array.from(counter), Uint32Array.from(key), out);
      assert.deepEqual([...out], expected);
    });
  }

  it('agrees with the definition in 64-bit integers on any counter and key', () => {
    const word = fc.nat({ max: 0xffffffff });
    fc.assert(
      fc.property(fc.tuple(word, word, word, word), fc.tuple(word, word), (counter, key) => {
        const out = new Uint32Array(4);
        philox4x32(Uint32Array.from(counter), Uint32Array.from(key), out);
        assert.deepEqual([...out], byDefinition(counter, key));
      }),
    );
  });
});

/** Salmon et al. 2011, section 3.3, with whole 64-bit products. */
function byDefinition(counter: readonly number[], key: readonly number[]): number[] {
  const mask = 0xffffffffn;
  let [a, b, c, d] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const first = 0xd2511f53n * a;
    const second = 0xcd9e8d57n * c;
    [a, b, c, d] = [(second >> 32n) ^ b ^ k0, second & mask, (first >> 32n) ^ d ^ k1, first & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [a, b, c, d].map(Number);
}

describe('runRandom', () => {
  const take = (seed: string, hash: string, run: number, count = 16) => {
    const source = runRandom(seed, hash, run);
    return Array.from({ length: count }, () => source.uniform());
  };

  it('replays: the same seed, image and run give the same numbers', () => {
    assert.deepEqual(take('s', HASH, 3), take('s', HASH, 3));
  });

  it('gives other numbers for another seed, another image and another run', () => {
    const streams = [take('s', HASH, 0), take('t', HASH, 0), take('s', 'b'.repeat(64), 0), take('s', HASH, 1)];
    const numbers = streams.flat();
    assert.equal(new Set(numbers).size, numbers.length);
  });

  it('does not depend on what other runs have drawn before', () => {
    const first = runRandom('s', HASH, 0);
    const second = runRandom('s', HASH, 1);
    const mixed = Array.from({ length: 16 }, () => [first.uniform(), second.uniform()]);
    assert.deepEqual(
      mixed.map(pair => pair[0]),
      take('s', HASH, 0),
    );
    assert.deepEqual(
      mixed.map(pair => pair[1]),
      take('s', HASH, 1),
    );
  });

  it('is uniform on [0,1): chi-square over 256 cells, over one run and over the first numbers of many runs', () => {
    const oneRun = runRandom('uniformity', HASH, 0);
    const samples = {
      oneRun: Array.from({ length: 65536 }, () => oneRun.uniform()),
      manyRuns: Array.from({ length: 16384 }, (_, run) => take('uniformity', HASH, run, 4)).flat(),
    };
    for (const numbers of Object.values(samples)) {
      const counts = new Uint32Array(256);
      for (const u of numbers) {
        assert.ok(u >= 0 && u < 1);
        counts[Math.floor(u * 256)]!++;
      }
      const expected = numbers.length / 256;
      const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      // 255 degrees of freedom: mean 255, standard deviation 22.6; five of them.
      assert.ok(Math.abs(chiSquare - 255) < 5 * Math.sqrt(2 * 255), `chi-square ${chiSquare}`);
    }
  });

  it('refuses what is not a content hash or a run', () => {
    assert.throws(() => runRandom('s', 'abc', 0), { message: /^Expected 64 lower-case hexadecimal digits for sha256/ });
    for (const run of [-1, 0.5, 2 ** 32, Number.NaN]) {
      assert.throws(() => runRandom('s', HASH, run), { code: 'SETTINGS_INVALID' });
    }
  });
});
