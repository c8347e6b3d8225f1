/** What holds of every comparator on any image, and the limits at which each must do nothing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { JOINT_SQUEEZERS, jointSqueezeScore } from '../../src/comparators/joint-squeezing.js';
import { COMPARATORS, comparatorSteps, parseOrder, RANDOMISERS } from '../../src/comparators/order.js';
import { makePatchBank, type PatchBank } from '../../src/comparators/quilting.js';
import { drawKept, minimizeVariation } from '../../src/comparators/total-variation-minimization.js';
import { PLAIN_RGB, type UniformSource } from '../../src/defense/defender.js';
import { createKernelDefender } from '../../src/defense/kernel/kernel-defender.js';
import { toBytes } from '../../src/defense/order.js';
import { runRandom } from '../../src/defense/random.js';
import { PAPER_SETTINGS } from '../../src/defense/settings.js';
import { DeflectorError } from '../../src/errors.js';
import { assertClose } from '../helpers/goldens.js';

interface Image {
  readonly width: number;
  readonly height: number;
  readonly planes: Float32Array;
}

/** 8-bit images of any small size, flat and noisy ones among them. */
const images: fc.Arbitrary<Image> = fc
  .tuple(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 24 }), fc.constantFrom(0, 8, 255), fc.nat())
  .map(([width, height, range, seed]) => image(width, height, range, seed));

function image(width: number, height: number, range: number, seed: number): Image {
  const source = draws(seed);
  const planes = Float32Array.from({ length: 3 * width * height }, () => {
    const low = (255 - range) / 2;
    return Math.round(low + source.uniform() * range) / 255;
  });
  return { width, height, planes };
}

function draws(run: number): UniformSource {
  return runRandom('comparators', '0'.repeat(64), run % 2 ** 32);
}

const patches: PatchBank = makePatchBank([image(24, 24, 255, 1), image(9, 30, 40, 2)], 200, draws(3));

function applied(text: string, { width, height, planes }: Image, run = 0): Float32Array {
  const out = Float32Array.from(planes);
  for (const step of parseOrder(text)) {
    assert.ok(step.kind === 'comparator');
    step.step.apply(out, width, height, draws(run), { patches });
  }
  return out;
}

for (const { name, random } of [...COMPARATORS, ...RANDOMISERS]) {
  describe(`the step ${name}`, () => {
    it('keeps values in [0, 1], is repeated by the same draws, and leaves draws alone unless it says so', () => {
      fc.assert(
        fc.property(images, fc.nat(), (input, run) => {
          const once = applied(name, input, run);
          for (const value of once) assert.ok(value >= 0 && value <= 1, `${value}`);
          assert.deepEqual(applied(name, input, run), once);
          if (!random) assert.deepEqual(applied(name, input, run + 1), once);
        }),
        { numRuns: name === 'uwiener' ? 10 : 30 },
      );
    });
  });
}

describe('comparators do nothing at their limits', () => {
  const exact = [
    'none',
    'bits:8',
    'median:1',
    'dct:0-8',
    'dct:0-3',
    'crop:1',
    'rescale:1-1',
    'resizepad:1',
    'anisotropic:0',
  ];
  const nearly = ['tvm:0-0.0001', 'tv:0.0001', 'bilateral:3-0.01', 'nlmrgb:3-11-0.0001', 'wiener:0.000001-0.1-1'];

  for (const text of [...exact, ...nearly]) {
    it(text, () => {
      fc.assert(
        fc.property(images, input =>
          assertClose(applied(text, input), input.planes, exact.includes(text) ? 1e-6 : 2e-3),
        ),
        { numRuns: 20 },
      );
    });
  }
});

describe('comparators leave a constant image alone', () => {
  // The others resize into black (resizepad), compare with other images (quilt) or assume black outside (lucy).
  const texts = [
    'bits:8',
    'median:5',
    'nlmrgb',
    'tv',
    'tvbregman',
    'tvm',
    'crop',
    'crop:0.5-0.9',
    'flip',
    'rescale',
    'dct',
    'bilateral',
    'anisotropic',
    'wiener',
  ];
  for (const text of texts) {
    it(text, () => {
      const input = { width: 17, height: 12, planes: new Float32Array(3 * 17 * 12).fill(100 / 255) };
      assertClose(applied(text, input), input.planes, 1e-5);
    });
  }
});

describe('steps that make runs differ', () => {
  const photograph = image(40, 30, 255, 9);
  const drawn = (...numbers: number[]): UniformSource => ({ uniform: () => numbers.shift()! });
  const given = (text: string, planes: Float32Array, ...numbers: number[]): Float32Array => {
    const out = Float32Array.from(planes);
    const [step] = parseOrder(text);
    assert.ok(step?.kind === 'comparator');
    step.step.apply(out, photograph.width, photograph.height, drawn(...numbers));
    return out;
  };
  const { planes, width } = photograph;

  it('draws the share of a crop, then its column and row', () => {
    // 0.5 + 0.5 * 0.5 of the side: the crop that a fixed share of 0.75 gives for the same two draws.
    assert.deepEqual(given('crop:0.5-1', planes, 0.5, 0.3, 0.6), given('crop:0.75', planes, 0.3, 0.6));
  });

  it('draws the quality of a JPEG among the integers from the least to the most', () => {
    assert.deepEqual(given('randomjpeg:20-24', planes, 0), given('jpeg:20', planes));
    assert.deepEqual(given('randomjpeg:20-24-444', planes, 0.999), given('jpeg:24-444', planes));
    assert.deepEqual(given('randomjpeg:24-20', planes, 0.5), given('jpeg:22', planes));
  });

  it('mirrors each row of each channel where the draw is below a half', () => {
    assert.deepEqual(given('flip', planes, 0.5), planes);
    const mirrored = planes.map((_, i) => planes[i - (i % width) + width - 1 - (i % width)]!);
    assert.deepEqual(given('flip', planes, 0.499), mirrored);
  });

  it('takes nothing from a ramp but its ends when it is shrunk and grown again', () => {
    const ramp = Float32Array.from({ length: planes.length }, (_, i) => (i % width) / width);
    for (const [i, value] of given('rescale:0.5-0.5', ramp, 0).entries()) {
      const column = i % width;
      if (column >= 4 && column < width - 4) assert.ok(Math.abs(value - ramp[i]!) < 1e-6, `${i}: ${value}`);
    }
  });
});

describe('the median of any window', () => {
  it('is the value of the upper middle rank (sorted)', () => {
    fc.assert(
      fc.property(images, fc.integer({ min: 1, max: 7 }), (input, size) => {
        const { width, height, planes } = input;
        const out = applied(`median:${size}`, input);
        const fold = (i: number, n: number): number => {
          const j = ((i % (2 * n)) + 2 * n) % (2 * n);
          return j < n ? j : 2 * n - 1 - j;
        };
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++) {
            const window = Array.from({ length: size * size }, (_, i) => {
              const row = fold(y - (size >> 1) + Math.floor(i / size), height);
              return planes[row * width + fold(x - (size >> 1) + (i % size), width)]!;
            }).sort((a, b) => a - b);
            assert.equal(out[y * width + x], window[(size * size) >> 1]);
          }
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('random resizing and padding', () => {
  it('shows the image at a random size and place in black', () => {
    const input = { width: 40, height: 40, planes: new Float32Array(4800).fill(1) };
    const sides = new Set<number>();
    const places = new Set<number>();
    for (let run = 0; run < 200; run++) {
      const out = applied('resizepad', input, run);
      sides.add(Math.sqrt(out.reduce((sum, value) => sum + value, 0) / 3));
      places.add(out.indexOf(1));
    }
    // 0.9 of 40 up to one pixel below 40.
    assert.deepEqual([...sides].sort(), [36, 37, 38, 39]);
    assert.ok(places.size > 20);
  });
});

describe('total variation minimisation', () => {
  const { width, height, planes } = image(24, 24, 255, 5);
  const values = planes.subarray(0, width * height);
  const kept = drawKept(values.length, 0.5, draws(6));
  const weight = 0.03;
  const energy = (z: Float32Array): number => {
    let sum = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = y * width + x;
        const gx = x + 1 < width ? z[at + 1]! - z[at]! : 0;
        const gy = y + 1 < height ? z[at + width]! - z[at]! : 0;
        sum += weight * Math.hypot(gx, gy) + (kept[at]! * (z[at]! - values[at]!) ** 2) / 2;
      }
    }
    return sum;
  };
  const minimum = (iterations: number): Float32Array => {
    const z = Float32Array.from(values);
    minimizeVariation(z, kept, width, height, weight, iterations);
    return z;
  };

  it('reaches in 50 iterations an energy within one percent of that after 5,000', () => {
    assert.ok(energy(minimum(50)) < 1.01 * energy(minimum(5000)));
  });

  it('has no better neighbour: the energy is convex, so this is its minimum', () => {
    const best = minimum(5000);
    const least = energy(best);
    const source = draws(7);
    for (let trial = 0; trial < 200; trial++) {
      const other = best.map(value => value + (source.uniform() - 0.5) * 0.01);
      assert.ok(energy(other) > least - 1e-4);
    }
  });

  it('drops each value with the stated probability', () => {
    const share = drawKept(100_000, 0.3, draws(8)).reduce((sum, flag) => sum + flag, 0) / 100_000;
    // Four standard deviations of a proportion of 0.7 in 100,000.
    assert.ok(Math.abs(share - 0.7) < 0.006);
  });
});

describe('quilting', () => {
  it('gives an image back from a bank of its own patches, one neighbour and a full grid', () => {
    const input = image(11, 8, 255, 9);
    const bank = makePatchBank([input], 2000, draws(10));
    const out = Float32Array.from(input.planes);
    const [step] = parseOrder('quilt:1');
    assert.ok(step?.kind === 'comparator');
    step.step.apply(out, input.width, input.height, draws(11), { patches: bank });
    assert.deepEqual(out, input.planes);
  });

  it('finds the nearest patches (compared with all)', () => {
    const input = image(5, 5, 60, 12);
    const distances = Array.from({ length: patches.count }, (_, i) =>
      patches.pixels.subarray(i * 75, i * 75 + 75).reduce((sum, value, k) => sum + (value - input.planes[k]!) ** 2, 0),
    );
    const nearest = distances.indexOf(Math.min(...distances));
    assert.deepEqual(applied('quilt:1', input), patches.pixels.slice(nearest * 75, nearest * 75 + 75));
  });

  it('stands in an order of the defence where a program gives the bank', async () => {
    const input = image(24, 24, 60, 14);
    const pixels = toBytes(input.planes, 24, 24)!;
    const defender = await createKernelDefender(comparatorSteps({ patches }));
    const prepared = defender.prepare(pixels, undefined, { ...PAPER_SETTINGS, seed: 's', order: ['none', 'quilt:3'] });
    const out = new Float32Array(input.planes.length);
    prepared.run(draws(5), out, 0, PLAIN_RGB);
    prepared.release();
    assert.deepEqual(out, applied('quilt:3', input, 5));
  });

  it('says what it lacks without a bank', () => {
    const [step] = parseOrder('quilt');
    assert.ok(step?.kind === 'comparator');
    assert.throws(
      () => step.step.apply(new Float32Array(75), 5, 5, draws(0)),
      (error: unknown) =>
        error instanceof DeflectorError &&
        error.message === 'Expected a bank of clean patches for --order quilt but received none',
    );
  });
});

describe('JPEG', () => {
  it('changes an image less, the higher the quality', () => {
    const input = image(32, 32, 40, 13);
    const errors = [10, 30, 50, 75, 95, 100].map(quality => {
      const out = applied(`jpeg:${quality}-444`, input);
      return out.reduce((sum, value, i) => sum + (value - input.planes[i]!) ** 2, 0);
    });
    assert.deepEqual(
      errors,
      [...errors].sort((a, b) => b - a),
    );
  });
});

describe('joint squeezing', () => {
  it("applies Table 4's squeezers (b), (c) and (f) one after another", () => {
    const text = JOINT_SQUEEZERS.map(squeezer => squeezer.text).join(',');
    assert.equal(text, 'bits:5,median:2,nlm:13-3-4');
    const input = image(20, 15, 255, 14);
    assert.deepEqual(applied('squeeze', input), applied(text, input));
  });
});

describe('the score of joint squeezing', () => {
  it('is the largest L1 distance of the squeezed answers: 0 for equal ones, 2 for contradicting ones', () => {
    const sure = Float32Array.of(1, 0, 0);
    assert.equal(jointSqueezeScore(sure, [sure, sure]), 0);
    assert.equal(jointSqueezeScore(sure, [sure, Float32Array.of(0, 1, 0)]), 2);
  });
});
