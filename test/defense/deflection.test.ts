import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  applyDeflections,
  DeflectionList,
  type DeflectionSettings,
  drawDeflections,
} from '../../src/defense/deflection.js';
import type { Planes } from '../../src/defense/grid.js';
import { planesOf } from '../../src/defense/plain/plain.js';
import { runRandom } from '../../src/defense/random.js';
import type { ActivationMap, RgbImage } from '../../src/types.js';
import { assertFollows } from '../helpers/chi-square.js';
import { assertClose } from '../helpers/goldens.js';
import { anyImage } from '../helpers/images.js';

const PAPER: DeflectionSettings = {
  deflection: 'paper',
  deflections: 100,
  window: 10,
  sampling: 'uniform',
  replace: 'random',
};
const HASH = '0'.repeat(64);

function mapOf(width: number, height: number, value: (pixel: number) => number): ActivationMap {
  return { width, height, data: Float32Array.from({ length: width * height }, (_, pixel) => value(pixel)) };
}

function deflected(image: RgbImage, settings: DeflectionSettings, map: ActivationMap | undefined, seed: string) {
  const list = drawDeflections(image.width, image.height, map, settings, runRandom(seed, HASH, 0));
  const original = planesOf(image);
  const changed = planesOf(image);
  applyDeflections(list, settings, original, changed);
  return { list, original, changed };
}

function sameBytes(a: Planes, b: Planes): boolean {
  return a.every((plane, c) => plane.data.every((value, p) => value === b[c]!.data[p]));
}

/** The places around a pixel that may replace it: the window cut off at the image's border. */
function windowAround({ width, height }: RgbImage, pixel: number, window: number, lowest = 0): number[] {
  const row = Math.floor(pixel / width);
  const column = pixel % width;
  const places: number[] = [];
  for (let y = Math.max(lowest, row - window); y <= Math.min(height - 1, row + window); y++) {
    for (let x = Math.max(lowest, column - window); x <= Math.min(width - 1, column + window); x++) {
      places.push(y * width + x);
    }
  }
  return places;
}

const anySettings = fc.record({
  deflection: fc.constantFrom<DeflectionSettings['deflection']>('paper', 'official'),
  deflections: fc.integer({ min: 0, max: 200 }),
  window: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(1024)),
  sampling: fc.constantFrom<DeflectionSettings['sampling']>('uniform', 'gaussian'),
  replace: fc.constant<DeflectionSettings['replace']>('random'),
});

describe('deflection, any image and settings', () => {
  it('replaces each changed pixel by a pixel of the original inside its window (rule paper)', () => {
    fc.assert(
      fc.property(anyImage(), anySettings, fc.string(), (image, settings, seed) => {
        const { original, changed } = deflected(image, { ...settings, deflection: 'paper' }, undefined, seed);
        changed[0].data.forEach((_, pixel) => {
          if (changed.every((plane, c) => plane.data[pixel] === original[c]!.data[pixel])) return;
          const sources = windowAround(image, pixel, settings.window);
          assert.ok(
            sources.some(from => changed.every((plane, c) => plane.data[pixel] === original[c]!.data[from])),
            `pixel ${pixel}`,
          );
        });
      }),
    );
  });

  it('draws every source inside window and image, never from row or column 0 under rule official', () => {
    fc.assert(
      fc.property(anyImage(), anySettings, fc.string(), (image, settings, seed) => {
        const { list } = deflected(image, settings, undefined, seed);
        const lowest = settings.deflection === 'official' ? 1 : 0;
        for (let i = 0; i < list.count; i++) {
          const places = windowAround(image, list.targets[i]!, settings.window, lowest);
          assert.ok(places.includes(list.sources[i]!));
        }
      }),
    );
  });

  it('changes nothing where nothing is to be deflected: K = 0, rule none, a map of ones', () => {
    fc.assert(
      fc.property(anyImage(), anySettings, fc.string(), (image, settings, seed) => {
        const ones = mapOf(image.width, image.height, () => 1);
        for (const result of [
          deflected(image, { ...settings, deflections: 0 }, undefined, seed),
          deflected(image, { ...settings, deflection: 'none' }, undefined, seed),
          deflected(image, settings, ones, seed),
        ]) {
          assert.equal(result.list.count, 0);
          assert.ok(sameBytes(result.original, result.changed));
        }
      }),
    );
  });

  it('gives the same list for the same seed, image and run, from a reused list too', () => {
    const reused = new DeflectionList();
    fc.assert(
      fc.property(anyImage(), anySettings, fc.string(), fc.nat(1000), ({ width, height }, settings, seed, run) => {
        const once = drawDeflections(width, height, undefined, settings, runRandom(seed, HASH, run));
        const again = drawDeflections(width, height, undefined, settings, runRandom(seed, HASH, run), reused);
        assert.equal(again.count, once.count);
        for (const field of ['targets', 'sources'] as const) {
          assert.deepEqual(again[field].subarray(0, once.count), once[field].subarray(0, once.count));
        }
        if (once.perChannel) {
          assert.deepEqual(again.channels.subarray(0, once.count), once.channels.subarray(0, once.count));
        }
      }),
    );
  });

  it('leaves an image of one colour as it is', () => {
    fc.assert(
      fc.property(
        anyImage(),
        anySettings,
        fc.constantFrom('random', 'min', 'max', 'mean'),
        (image, settings, replace) => {
          const flat = { ...image, data: image.data.map((_, i) => image.data[i % 3]!) };
          const { original, changed } = deflected(flat, { ...settings, replace: replace as 'random' }, undefined, 's');
          changed.forEach((plane, c) => {
            assertClose(plane.data, original[c]!.data, 1e-12);
          });
        },
      ),
    );
  });
});

describe('deflection rule paper', () => {
  it('takes three numbers a draw and two more where it deflects, skipped draws counted in K', () => {
    const map = mapOf(4, 4, pixel => (pixel < 8 ? 1 : 0));
    let taken = 0;
    const stream = runRandom('count', HASH, 0);
    const source = {
      uniform: () => {
        taken++;
        return stream.uniform();
      },
    };
    const list = drawDeflections(4, 4, map, PAPER, source);
    assert.equal(taken, 3 * PAPER.deflections + 2 * list.count);
    assert.ok(list.count > 30 && list.count < 70);
    assert.ok(list.targets.subarray(0, list.count).every(target => target >= 8));
  });

  it('reads the original: a pixel deflected twice, or from a deflected one, never carries a copy of a copy', () => {
    const image = { width: 3, height: 1, data: Uint8Array.of(10, 10, 10, 20, 20, 20, 30, 30, 30) };
    const list = new DeflectionList();
    list.reset(2, false);
    list.targets.set([1, 2]);
    list.sources.set([0, 1]);
    list.count = 2;
    const [original, changed] = [planesOf(image), planesOf(image)];
    applyDeflections(list, PAPER, original, changed);
    assert.deepEqual(
      Array.from(changed[0].data, value => Math.round(value * 255)),
      [10, 10, 20],
    );
  });

  it('draws pixels uniformly, and deflects them as often as their map value lies below a uniform number', () => {
    const [width, height] = [5, 4];
    const map = mapOf(width, height, pixel => pixel / (width * height));
    const counts = new Float64Array(width * height);
    for (let run = 0; run < 400; run++) {
      const list = drawDeflections(width, height, map, PAPER, runRandom('targets', HASH, run));
      for (let i = 0; i < list.count; i++) counts[list.targets[i]!]!++;
    }
    assertFollows(
      counts,
      Array.from(map.data, value => 1 - value),
    );
  });

  it('draws sources uniformly from window and image, at a corner too', () => {
    assertFollows(sourcesOfPixel(7, 6, 8, { ...PAPER, window: 2 }), uniformWeights(7, 6, 8, 2));
    assertFollows(sourcesOfPixel(7, 6, 0, { ...PAPER, window: 3 }), uniformWeights(7, 6, 0, 3));
  });

  it('draws sources from a discrete normal distribution of deviation r/2, cut off at window and image', () => {
    for (const [pixel, window] of [
      [3 * 9 + 4, 3],
      [0, 2],
      [8, 1024],
    ] as const) {
      const settings: DeflectionSettings = { ...PAPER, window, sampling: 'gaussian' };
      const weights = uniformWeights(9, 7, pixel, window).map((weight, place) => {
        const rows = Math.floor(place / 9) - Math.floor(pixel / 9);
        const columns = (place % 9) - (pixel % 9);
        return weight * Math.exp(-(rows ** 2 + columns ** 2) / (2 * (window / 2) ** 2));
      });
      assertFollows(sourcesOfPixel(9, 7, pixel, settings), weights);
    }
  });
});

/** How often each pixel served as a source of one pixel, which is the only one that the map lets go. */
function sourcesOfPixel(width: number, height: number, pixel: number, settings: DeflectionSettings): Float64Array {
  const map = mapOf(width, height, p => (p === pixel ? 0 : 1));
  const counts = new Float64Array(width * height);
  const list = drawDeflections(width, height, map, { ...settings, deflections: 1_000_000 }, runRandom('s', HASH, 0));
  for (let i = 0; i < list.count; i++) counts[list.sources[i]!]!++;
  return counts;
}

function uniformWeights(width: number, height: number, pixel: number, window: number): number[] {
  const inside = new Set(windowAround({ width, height, data: new Uint8Array() }, pixel, window));
  return Array.from({ length: width * height }, (_, place) => (inside.has(place) ? 1 : 0));
}

describe('deflection rule official', () => {
  const OFFICIAL: DeflectionSettings = { ...PAPER, deflection: 'official', deflections: 200 };

  it('writes single channels in turn, K of them or up to two more', () => {
    for (let run = 0; run < 50; run++) {
      const map = mapOf(16, 16, pixel => pixel / 256);
      const list = drawDeflections(16, 16, map, OFFICIAL, runRandom('k', HASH, run));
      assert.ok(list.perChannel);
      assert.ok(list.count >= 200 && list.count <= 202);
      assert.equal(new Set(list.channels.subarray(0, list.count)).size, 3);
    }
  });

  it('ends where no deflection is possible: a map of ones, an image one pixel wide or high', () => {
    const source = () => runRandom('end', HASH, 0);
    assert.equal(
      drawDeflections(
        8,
        8,
        mapOf(8, 8, () => 1),
        OFFICIAL,
        source(),
      ).count,
      0,
    );
    for (const [width, height] of [
      [1, 50],
      [50, 1],
      [1, 1],
    ] as const) {
      assert.equal(drawDeflections(width, height, undefined, OFFICIAL, source()).count, 0);
    }
  });

  it('reads what it has written', () => {
    const image = { width: 3, height: 1, data: Uint8Array.of(10, 11, 12, 20, 21, 22, 30, 31, 32) };
    const list = new DeflectionList();
    list.reset(2, true);
    list.targets.set([1, 2]);
    list.sources.set([0, 1]);
    list.channels.set([1, 1]);
    list.count = 2;
    const [original, changed] = [planesOf(image), planesOf(image)];
    applyDeflections(list, OFFICIAL, original, changed);
    assert.deepEqual(
      Array.from(changed[1].data, value => Math.round(value * 255)),
      [11, 11, 11],
    );
    assert.ok(sameBytes([original[0], original[1], original[2]], [changed[0], original[1], changed[2]]));
  });
});

describe('replacement by min, max and mean', () => {
  it('takes each channel by itself, over the window inside the image', () => {
    fc.assert(
      fc.property(
        anyImage(9),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom('min', 'max', 'mean'),
        (image, window, replace) => {
          const settings = { ...PAPER, window, replace: replace as 'min' | 'max' | 'mean' };
          const { list, original, changed } = deflected(image, settings, undefined, 'summary');
          for (let i = 0; i < list.count; i++) {
            const pixel = list.targets[i]!;
            const places = windowAround(image, pixel, window);
            original.forEach(({ data }, c) => {
              const values = places.map(place => data[place]!);
              const expected = {
                min: Math.min(...values),
                max: Math.max(...values),
                mean: values.reduce((a, b) => a + b) / values.length,
              }[settings.replace];
              assert.ok(Math.abs(changed[c]!.data[pixel]! - expected) < 1e-12);
            });
          }
        },
      ),
    );
  });

  it('takes no numbers for a source', () => {
    const source = runRandom('m', HASH, 0);
    drawDeflections(8, 8, undefined, { ...PAPER, replace: 'mean' }, source);
    const other = runRandom('m', HASH, 0);
    for (let i = 0; i < 3 * PAPER.deflections; i++) other.uniform();
    assert.equal(source.uniform(), other.uniform());
  });
});
