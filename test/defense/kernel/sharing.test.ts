/** What the runs of an image share changes nothing: neither what a run gives, nor what it leaves behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Defender, PLAIN_RGB, type PreparedImage, type TensorFormat } from '../../../src/defense/defender.js';
import { createKernelDefender } from '../../../src/defense/kernel/kernel-defender.js';
import { runRandom } from '../../../src/defense/random.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../../../src/defense/settings.js';
import { anyImage, haarSettings, otherSettings, randomMap, texturedImage } from '../../helpers/kernel-settings.js';

const SHA256 = 'a1'.repeat(32);

function paper(changes: Partial<DefenceSettings> = {}): DefenceSettings {
  return { ...PAPER_SETTINGS, seed: 'test', ...changes };
}

function defended(
  prepared: PreparedImage,
  values: number,
  run: number,
  format: TensorFormat = PLAIN_RGB,
): Float32Array {
  const out = new Float32Array(values);
  prepared.run(runRandom('test', SHA256, run), out, 0, format);
  return out;
}

/** One run from scratch: an image of its own. */
function fresh(
  defender: Defender,
  ...[image, map, settings]: Parameters<Defender['prepare']>
): (run: number) => Float32Array {
  return run => {
    const prepared = defender.prepare(image, map, settings);
    const out = defended(prepared, image.data.length, run);
    prepared.release();
    return out;
  };
}

test('a run that shares work with others gives the bytes of a run from scratch', async () => {
  const kernel = await createKernelDefender();
  fc.assert(
    fc.property(anyImage, fc.oneof(haarSettings, otherSettings), (image, settings) => {
      const alone = fresh(kernel, image, undefined, settings);
      const prepared = kernel.prepare(image, undefined, settings);
      for (const run of [0, 1, 2, 1, 0]) {
        assert.deepEqual(defended(prepared, image.data.length, run), alone(run));
      }
      prepared.release();
    }),
    { numRuns: 150 },
  );
});

for (const [name, settings] of Object.entries({
  'the paper': paper(),
  modern: paper({ variant: 'modern' }),
  'estimated noise': paper({ sigma: null }),
  db2: paper({ wavelet: 'db2' }),
})) {
  test(`a thousand runs leave no trace: ${name}`, async () => {
    const kernel = await createKernelDefender();
    const image = texturedImage(61, 47, 'smooth', 3);
    const prepared = kernel.prepare(image, randomMap(61, 47, 5), settings);
    const first = defended(prepared, image.data.length, 0);
    for (let run = 1; run <= 1000; run++) defended(prepared, image.data.length, run);
    assert.deepEqual(defended(prepared, image.data.length, 0), first);
    prepared.release();
  });
}

test('sparse and whole transforms give the same bytes', async () => {
  const kernel = await createKernelDefender();
  // Deflections up to 1 in 48 pixels are sparse: 49 x 48 pixels, 49 of them.
  const image = texturedImage(49, 48, 'smooth', 9);
  const settings = (deflections: number) => paper({ deflections, variant: 'legacy' });
  for (const variant of ['legacy', 'modern'] as const) {
    const sparse = kernel.prepare(image, undefined, { ...settings(49), variant });
    const dense = kernel.prepare(image, undefined, { ...settings(50), variant });
    // The 50th draw makes the run dense and changes nothing: it copies the first pixel to itself.
    for (let run = 0; run < 20; run++) {
      const numbers: number[] = [];
      const source = runRandom('test', SHA256, run);
      for (let i = 0; i < 49 * 5; i++) numbers.push(source.uniform());
      const replay = (tail: readonly number[]) => {
        let next = 0;
        const all = [...numbers, ...tail];
        return { uniform: () => all[next++]! };
      };
      const [a, b] = [new Float32Array(image.data.length), new Float32Array(image.data.length)];
      sparse.run(replay([]), a, 0, PLAIN_RGB);
      dense.run(replay([0, 0, 0.5, 0, 0]), b, 0, PLAIN_RGB);
      // Unless another draw changed that pixel before.
      if (numbers.some((u, i) => i % 5 === 0 && u < 1 / 48 && numbers[i + 1]! < 1 / 49)) continue;
      assert.deepEqual(b, a);
    }
    sparse.release();
    dense.release();
  }
});

test('images that are prepared at the same time do not meet', async () => {
  const kernel = await createKernelDefender();
  const images = (
    [
      [224, 224],
      [17, 31],
      [1, 1],
      [96, 64],
      [33, 200],
    ] as const
  ).map(([width, height], seed) => texturedImage(width, height, 'smooth', seed));
  const choices = [paper(), paper({ wavelet: 'db2' }), paper({ shrink: 'sure' }), paper({ variant: 'modern' })];
  const prepared = images.map((image, i) => kernel.prepare(image, undefined, choices[i % choices.length]!));
  for (const run of [0, 1]) {
    for (const [i, image] of images.entries()) {
      const alone = fresh(await createKernelDefender(), image, undefined, choices[i % choices.length]!);
      assert.deepEqual(defended(prepared[i]!, image.data.length, run), alone(run));
    }
  }
  for (const one of prepared) one.release();
});

test('a tensor format is written in place: offset, layout, order of channels, scale and bias', async () => {
  const kernel = await createKernelDefender();
  const image = texturedImage(37, 23, 'smooth', 4);
  const size = 37 * 23;
  for (const settings of [paper(), paper({ variant: 'modern' }), paper({ wavelet: 'db2' })]) {
    const prepared = kernel.prepare(image, undefined, settings);
    const plain = defended(prepared, image.data.length, 0);
    for (const layout of ['nchw', 'nhwc'] as const) {
      for (const channels of ['rgb', 'bgr'] as const) {
        const format: TensorFormat = { layout, channels, scale: [2, -4, 0.5], bias: [-1, 0.25, 3] };
        const out = new Float32Array(image.data.length + 10).fill(-77);
        prepared.run(runRandom('test', SHA256, 0), out, 5, format);
        for (let c = 0; c < 3; c++) {
          const place = channels === 'rgb' ? c : 2 - c;
          for (let p = 0; p < size; p++) {
            const value = out[5 + (layout === 'nchw' ? place * size + p : p * 3 + place)]!;
            const expected = plain[c * size + p]! * format.scale[c]! + format.bias[c]!;
            assert.ok(Math.abs(value - expected) < 1e-5, `${layout} ${channels} ${c} ${p}: ${value} for ${expected}`);
          }
        }
        assert.deepEqual([...out.subarray(0, 5), ...out.subarray(-5)], new Array(10).fill(-77));
      }
    }
    prepared.release();
  }
});

test('random words made by the kernel are those of the stream', async () => {
  const kernel = await createKernelDefender();
  const image = texturedImage(20, 20, 'noise', 1);
  const prepared = kernel.prepare(image, undefined, paper({ deflections: 333 }));
  const [made, drawn] = [runRandom('test', SHA256, 3), runRandom('test', SHA256, 3)];
  // A number taken before the run leaves it in the middle of a block.
  assert.equal(made.uniform(), drawn.uniform());
  prepared.run(made, new Float32Array(1200), 0, PLAIN_RGB);
  for (let i = 0; i < 333 * 5; i++) drawn.uniform();
  for (let i = 0; i < 3000; i++) assert.equal(made.uniform(), drawn.uniform());
  prepared.release();
});
