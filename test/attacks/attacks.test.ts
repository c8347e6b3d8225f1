import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Attack, marginOf, topClass } from '../../src/attacks/attack.js';
import { attackImage } from '../../src/attacks/attack-image.js';
import { ATTACKS } from '../../src/attacks/catalogue.js';
import { ModelQueries } from '../../src/attacks/model-queries.js';
import { printParameters, resolveParameters } from '../../src/attacks/resolve-parameters.js';
import { runRandom } from '../../src/defense/random.js';
import { createOnnxDifferentiableClassifier } from '../../src/models/onnx-gradient.js';
import type { DifferentiableClassifier, RgbImage } from '../../src/types.js';
import { checkLeaks } from '../helpers/leaks.js';
import { CLASSES, floats, modelOf, node, onnx, signature } from '../models/onnx/builder.js';

checkLeaks();

/** 16x16 is the least that SSIM measures well. */
const SIZE = 16;
const PIXELS = 3 * SIZE * SIZE;

/** A model with smooth and with piecewise linear parts, far from saturated. */
const NETWORK = onnx({
  nodes: [
    node('Conv', ['input', 'w1', 'b1'], 'c1', { pads: [1, 1, 1, 1], strides: [2, 2] }),
    node('Relu', ['c1'], 'r1'),
    node('Flatten', ['r1'], 'flat'),
    node('Gemm', ['flat', 'w2', 'b2'], 'scores', { transB: 1 }),
  ],
  tensors: [floats('w1', [6, 3, 3, 3]), floats('b1', [6]), floats('w2', [CLASSES, 6 * 64]), floats('b2', [CLASSES])],
  inputs: [signature('input', ['N', 3, SIZE, SIZE])],
});

function photo(seed: number): RgbImage {
  const data = Uint8Array.from(
    { length: PIXELS },
    (_, i) => 128 + 90 * Math.sin(i * 0.37 + seed) * Math.cos(i * 0.011),
  );
  return { width: SIZE, height: SIZE, data };
}

/** Settings under which each attack ends in well under a second here. */
const BUDGETS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  fgsm: { epsilon: '16/255' },
  igsm: { epsilon: '16/255' },
  pgd: { epsilon: '16/255' },
  'apgd-ce': { epsilon: '16/255', steps: 30 },
  'apgd-dlr': { epsilon: '16/255', steps: 30 },
  deepfool: { candidates: 5, overshoot: 0.3 },
  cw: { steps: 100, searches: 4, confidence: 0.5 },
  lbfgs: { searches: 6, confidence: 0.5 },
  // The rows of the small head are alike: what raises the second class raises the first as much.
  jsma: { width: 8, gamma: 1, target: 'least' },
  square: { epsilon: '16/255', queries: 400 },
  spsa: { epsilon: '16/255', steps: 40 },
  hopskipjump: { queries: 800 },
};

const LINF = ['fgsm', 'igsm', 'pgd', 'apgd-ce', 'apgd-dlr', 'square', 'spsa'];

describe('every attack', () => {
  let classifier: DifferentiableClassifier;
  before(async () => {
    const model = modelOf(NETWORK);
    const preprocessing = {
      ...model.preprocessing,
      width: SIZE,
      height: SIZE,
      mean: [0.5, 0.4, 0.6],
      std: [0.5, 0.4, 0.3],
    } as const;
    classifier = await createOnnxDifferentiableClassifier(
      { ...model, preprocessing },
      { provider: 'cpu', runtime: 'cpu' },
    );
  });
  after(() => classifier.dispose());

  const attacked = async (attack: Attack, seed: number, given = BUDGETS[attack.name]!, most = 8) => {
    const values = resolveParameters(attack, given);
    const queries = new ModelQueries(classifier, most);
    const random = runRandom('seed', String(seed).padStart(64, '0'), 0);
    const result = await attackImage(attack, values, queries, photo(seed), undefined, random);
    assert.ok('attacked' in result);
    return { label: result.label, ...result.attacked };
  };

  for (const attack of ATTACKS) {
    it(`${attack.name} fools a small network on most images, and its figures are those of the 8-bit image`, async () => {
      let fooled = 0;
      for (let seed = 1; seed <= 6; seed++) {
        const made = await attacked(attack, seed);
        const { label } = made;
        const planes = planar(made.image);
        const { subject } = new ModelQueries(classifier, 1).subject(planes, label, { uniform: () => 0 });
        const scores = await subject.scores(planes);
        assert.equal(made.adversarial, topClass(scores));
        assert.equal(made.fooled, made.adversarial !== label);
        assert.ok(Math.abs(made.margin - marginOf(scores, label)) < 1e-4);
        if (LINF.includes(attack.name)) assert.ok(made.linf <= 16 / 255 + 1e-6, `L-infinity ${made.linf}`);
        if (made.fooled) fooled++;
      }
      assert.ok(fooled >= 4, `fooled ${fooled} of 6`);
    });

    it(`${attack.name} gives the same image again, in batches of any size and beside any others`, async () => {
      const alone = await attacked(attack, 1, BUDGETS[attack.name], 1);
      const values = resolveParameters(attack, BUDGETS[attack.name]!);
      const queries = new ModelQueries(classifier, 3);
      const together = await Promise.all(
        [1, 2, 3].map(seed => {
          const random = runRandom('seed', String(seed).padStart(64, '0'), 0);
          return attackImage(attack, values, queries, photo(seed), undefined, random);
        }),
      );
      const first = together[0]!;
      assert.ok('attacked' in first);
      assert.equal(first.attacked.margin, alone.margin);
      assert.deepEqual(first.attacked.image.data, alone.image.data);
    });

    it(`${attack.name} prints parameters that are read back the same`, () => {
      const values = resolveParameters(attack, BUDGETS[attack.name]!);
      assert.deepEqual(resolveParameters(attack, printParameters(attack, values)), values);
    });
  }

  const called = (name: string) => ATTACKS.find(attack => attack.name === name)!;

  it('stops early in the minimal form and goes on in the full one', async () => {
    for (const name of ['igsm', 'pgd', 'apgd-ce', 'jsma', 'deepfool']) {
      const given = { ...BUDGETS[name], ...(name === 'deepfool' ? { reach: 0.2 } : {}) };
      const minimal = await attacked(called(name), 2, { ...given, form: 'minimal' });
      const full = await attacked(called(name), 2, { ...given, form: 'full' });
      assert.ok(full.margin >= minimal.margin, `${name}: ${full.margin} after ${minimal.margin}`);
      assert.ok(full.calls.gradients >= minimal.calls.gradients, name);
    }
  });

  it('minimises the distance: DeepFool and C&W end nearer than FGSM', async () => {
    const median = async (name: string, given?: Record<string, unknown>) => {
      const distances = [];
      for (let seed = 1; seed <= 5; seed++) distances.push((await attacked(called(name), seed, given)).l2);
      return distances.sort((a, b) => a - b)[2]!;
    };
    const fgsm = await median('fgsm');
    assert.ok((await median('deepfool')) < fgsm);
    assert.ok((await median('cw', { ...BUDGETS.cw, confidence: 0 })) < fgsm);
  });

  it('C&W goes as far past the boundary as its confidence says', async () => {
    for (const confidence of [0.5, 2]) {
      const { margin } = await attacked(called('cw'), 3, { ...BUDGETS.cw, confidence });
      assert.ok(margin > 0.9 * confidence, `${margin} for ${confidence}`);
    }
  });

  it('leaves an image alone that the model gets wrong', async () => {
    const queries = new ModelQueries(classifier, 1);
    const own = (await attacked(called('fgsm'), 1)).label;
    const wrong = (own + 1) % CLASSES;
    const random = { uniform: () => 0.5 };
    const result = await attackImage(
      called('fgsm'),
      resolveParameters(called('fgsm'), {}),
      queries,
      photo(1),
      wrong,
      random,
    );
    assert.deepEqual(result, { predicted: own });
  });

  it('names a bad value as every setting does', () => {
    assert.throws(() => resolveParameters(called('fgsm'), { epsilon: '8/0' }, name => `--${name}`), {
      code: 'SETTINGS_INVALID',
      message: 'Expected a number from 0 to 1, or a fraction such as 8/255 for --epsilon but received "8/0"',
    });
  });
});

function planar({ data }: RgbImage): Float32Array {
  const area = SIZE * SIZE;
  return Float32Array.from({ length: PIXELS }, (_, i) => data[3 * (i % area) + Math.floor(i / area)]! / 255);
}
