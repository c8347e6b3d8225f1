/** The defence as a graph computes what the plain defender specifies. Expected values: src/defense/plain. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { PLAIN_RGB, type TensorFormat } from '../../../src/defense/defender.js';
import { drawDeflections } from '../../../src/defense/deflection.js';
import { DeflectionWrites } from '../../../src/defense/deflection-writes.js';
import { plainDefender } from '../../../src/defense/plain/plain.js';
import { runRandom } from '../../../src/defense/random.js';
import { type DefenceSettings, deflects, PAPER_SETTINGS } from '../../../src/defense/settings.js';
import {
  beyondDefenceGraph,
  type DefenceGraphOptions,
  defenceAlone,
  GRAPH_INPUTS,
  GRAPH_TENSOR,
} from '../../../src/models/onnx/defence-graph.js';
import { createSession } from '../../../src/models/onnx-classifier.js';
import { loadOnnxRuntime, type OnnxRuntime } from '../../../src/models/onnx-runtime.js';
import type { ActivationMap, RgbImage } from '../../../src/types.js';
import { assertSameImage } from '../../helpers/compare.js';
import { anyImage, haarSettings, randomMap, texturedImage } from '../../helpers/kernel-settings.js';

const SHA256 = '5e'.repeat(32);
const RUNS = 3;

let runtime: OnnxRuntime;
before(async () => {
  runtime = await loadOnnxRuntime();
});

/** All runs of some images of one size, in one call of a session. */
async function defendedByGraph(
  images: readonly RgbImage[],
  map: ActivationMap | undefined,
  options: DefenceGraphOptions,
): Promise<Float32Array[]> {
  const { settings, width, height } = options;
  const session = await createSession(runtime, defenceAlone(options), { provider: 'cpu' });
  const writes = new DeflectionWrites(width * height);
  const imageOfRun: number[] = [];
  for (const image of images.keys()) {
    for (let run = 0; run < RUNS; run++) {
      if (deflects(settings) && settings.order.includes('deflect')) {
        const random = runRandom(settings.seed, SHA256, run);
        writes.add(drawDeflections(width, height, map, settings, random), imageOfRun.length);
      }
      imageOfRun.push(image);
    }
  }
  const { targets, sources } = writes.list();
  const pixels = new Uint8Array(images.length * 3 * width * height);
  for (const [i, image] of images.entries()) pixels.set(image.data, i * image.data.length);
  const { Tensor } = runtime;
  const results = await session.run({
    [GRAPH_INPUTS.images]: new Tensor('uint8', pixels, [images.length, height, width, 3]),
    [GRAPH_INPUTS.imageOfRun]: new Tensor('int32', Int32Array.from(imageOfRun), [imageOfRun.length]),
    [GRAPH_INPUTS.targets]: new Tensor('int32', targets, [targets.length]),
    [GRAPH_INPUTS.sources]: new Tensor('int32', sources, [sources.length]),
  });
  const all = results[GRAPH_TENSOR]!.data as Float32Array;
  await session.release();
  const size = 3 * width * height;
  return imageOfRun.map((_, i) => all.slice(i * size, (i + 1) * size));
}

function defendedPlainly(
  image: RgbImage,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
  format: TensorFormat,
): Float32Array[] {
  const prepared = plainDefender.prepare(image, map, settings);
  return Array.from({ length: RUNS }, (_, run) => {
    const out = new Float32Array(image.data.length);
    prepared.run(runRandom(settings.seed, SHA256, run), out, 0, format);
    return out;
  });
}

const graphSettings = haarSettings
  .map(settings => ({ ...settings, replace: 'random' as const, strength: [1, 1] as const, spin: 0, spare: 0 }))
  .chain(settings =>
    fc
      .constantFrom<DefenceSettings['order']>(['deflect', 'denoise'], ['denoise', 'deflect'], ['deflect'], ['denoise'])
      .map(order => ({ ...settings, order })),
  );

test('every run of any image under any settings that it takes is that of the plain defender', () =>
  fc.assert(
    fc.asyncProperty(anyImage, graphSettings, fc.boolean(), async (image, settings, hasMap) => {
      assert.equal(beyondDefenceGraph(settings), undefined);
      const { width, height } = image;
      const map = hasMap ? randomMap(width, height, 7) : undefined;
      const options: DefenceGraphOptions = { width, height, settings, format: PLAIN_RGB, precision: 'float32' };
      const expected = defendedPlainly(image, map, settings, PLAIN_RGB);
      const actual = await defendedByGraph([image], map, options);
      // Where a coefficient lies at a hard threshold one rounding decides, and a block of pixels moves with it.
      const mayJump = settings.threshold === 'hard' ? image.data.length / 20 : 0;
      for (const [i, run] of expected.entries()) assertSameImage(actual[i]!, run, `run ${i}`, mayJump);
    }),
    { numRuns: 150 },
  ));

test('runs of several images in one call are those of each image alone, in any layout, order and scale of channels', async () => {
  const settings: DefenceSettings = { ...PAPER_SETTINGS, seed: 'test' };
  const images = (['smooth', 'noise', 'grey'] as const).map((texture, seed) => texturedImage(41, 38, texture, seed));
  for (const [layout, channels] of [
    ['nchw', 'rgb'],
    ['nhwc', 'bgr'],
  ] as const) {
    const format: TensorFormat = { layout, channels, scale: [2, 0.5, 1], bias: [-1, 0.25, 0] };
    const actual = await defendedByGraph(images, undefined, {
      width: 41,
      height: 38,
      settings,
      format,
      precision: 'float32',
    });
    const expected = images.flatMap(image => defendedPlainly(image, undefined, settings, format));
    for (const [i, run] of expected.entries()) {
      assert.ok(
        run.every((value, p) => Math.abs(value - actual[i]![p]!) < 2e-5),
        `run ${i} as ${layout} ${channels}`,
      );
    }
  }
});

test('in half precision values lie within two grey levels of those in single precision', async () => {
  const image = texturedImage(64, 64, 'smooth', 3);
  for (const variant of ['legacy', 'modern'] as const) {
    const settings: DefenceSettings = { ...PAPER_SETTINGS, seed: 'test', variant };
    const options = { width: 64, height: 64, settings, format: PLAIN_RGB };
    const single = await defendedByGraph([image], undefined, { ...options, precision: 'float32' });
    const half = await defendedByGraph([image], undefined, { ...options, precision: 'float16' });
    for (const [i, run] of single.entries()) {
      const worst = run.reduce((most, value, p) => Math.max(most, Math.abs(value - half[i]![p]!)), 0);
      assert.ok(worst > 0 && worst < 2 / 255, `${variant}: ${worst * 255} grey levels`);
    }
  }
});

test('settings that the graph does not compute are told apart by what they ask for', () => {
  const settings: DefenceSettings = { ...PAPER_SETTINGS, seed: 'test' };
  const cases: [Partial<DefenceSettings>, RegExp][] = [
    [{ order: ['jpeg:75', 'deflect'] }, /step jpeg:75/],
    [{ order: ['deflect', 'denoise', 'deflect'] }, /more than once/],
    [{ at: 'original' }, /many sizes/],
    [{ replace: 'mean' }, /--replace mean/],
    [{ wavelet: 'db2' }, /db2/],
    [{ sigma: null }, /--sigma/],
    [{ shrink: 'sure' }, /--shrink sure/],
    [{ strength: [0.5, 2] }, /--strength/],
    [{ spin: 4 }, /--spin/],
    [{ spare: 0.5 }, /--spare/],
  ];
  for (const [change, clause] of cases) assert.match(beyondDefenceGraph({ ...settings, ...change }) ?? '', clause);
  assert.equal(beyondDefenceGraph(settings), undefined);
});
