/** What every network of the catalogue promises whoever pulls it: activation maps, gradients, the defence in its graph. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PAPER_SETTINGS } from '../../../src/defense/settings.js';
import { type EngineSpec, openEngine } from '../../../src/engine/engine.js';
import { readCatalogue } from '../../../src/models/catalogue.js';
import { checkModel } from '../../../src/models/check-model.js';
import { processorConfig } from '../../../src/models/preprocessing.js';
import { openModel } from '../../../src/models/registry.js';
import { openDifferentiable, openRunClassifier } from '../../../src/models/runtimes.js';
import type { FetchedImage, OkVerdict } from '../../../src/types.js';
import { temporaryFolder } from '../../helpers/files.js';
import { texturedImage } from '../../helpers/kernel-settings.js';
import { checkLeaks } from '../../helpers/leaks.js';
import { fromRoot } from '../../helpers/root.js';
import { SMALL_CONFIG, writeModel } from '../folders.js';
import { ARCHITECTURE_SIDE, ARCHITECTURES, type Architecture } from './architectures.js';
import { behindBody, floats, HEAD, modelOf, node, values } from './builder.js';

checkLeaks();

const SIDE = ARCHITECTURE_SIDE;

/** Exports of PyTorch, version 14, any batch: test/goldens-gradients/make_families.py. Their gradients are tested there. */
function exported(family: string, maps: boolean): Architecture {
  return { network: readFileSync(fromRoot(`test/goldens-gradients/families/${family}.onnx`)), maps };
}

const EXPORTED: Readonly<Record<string, Architecture>> = {
  'ResNet of PyTorch': exported('resnet', true),
  'VGG of PyTorch': exported('vgg', false),
  'Inception of PyTorch': exported('inception', true),
  'SqueezeNet of PyTorch': exported('squeezenet', true),
  'DenseNet of PyTorch': exported('densenet', true),
  'EfficientNet of PyTorch': exported('efficientnet', true),
  'MobileNetV3 of PyTorch': exported('mobilenet-v3', true),
  'vision transformer of PyTorch': exported('vision-transformer', false),
};

const PROCESSOR = processorConfig({
  ...{ width: SIDE, height: SIDE, fit: 'stretch', crop: 1, interpolation: 'bilinear', channels: 'rgb' },
  ...{ mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
});

const SETTINGS = { ...PAPER_SETTINGS, seed: 'architectures', runs: 5, earlyStop: { kind: 'off' } } as const;

const images: readonly FetchedImage[] = (['smooth', 'noise'] as const).map((texture, index) => ({
  ...{ index, key: texture, sha256: String(index).repeat(64), ms: { fetch: 0, decode: 0 } },
  pixels: texturedImage(SIDE, SIDE, texture, index),
}));

let root: string;
const cleanUps: (() => Promise<void>)[] = [];
before(async () => {
  root = await temporaryFolder({ after: done => cleanUps.push(done as () => Promise<void>) });
});
after(() => Promise.all(cleanUps.map(done => done())));

function folderOf(name: string, { network }: Architecture): Promise<string> {
  const classes = name in ARCHITECTURES ? 5 : 10;
  const id2label = Object.fromEntries(Array.from({ length: classes }, (_, c) => [c, `class ${c}`]));
  return writeModel(join(root, name.replaceAll(' ', '-')), {
    'config.json': { ...SMALL_CONFIG, id2label },
    'preprocessor_config.json': PROCESSOR,
    'onnx/model.onnx': network,
  });
}

function spec(model: string, change: Partial<EngineSpec> = {}): EngineSpec {
  return {
    ...{ model, localizer: null, runtime: 'auto', graph: 'off', device: 0, settings: SETTINGS, record: {} },
    ...{ maximumBatch: 3, threads: 1 },
    ...change,
  };
}

/** What is left of verdicts when roundings are taken out. */
async function verdicts(made: EngineSpec) {
  const engine = await openEngine(made);
  try {
    const outcomes = await Promise.all(images.map(image => engine.defend(image)));
    return outcomes.map(({ verdict }) => {
      const { status, label, votes, probability } = verdict as OkVerdict;
      assert.equal(status, 'ok', JSON.stringify(verdict));
      return { label: label.index, votes, probability: Number(probability.toFixed(2)) };
    });
  } finally {
    await engine.close();
  }
}

describe('the sketches', () => {
  it('are those of all models of the catalogue', async () => {
    assert.deepEqual(
      (await readCatalogue()).map(entry => entry.name),
      Object.keys(ARCHITECTURES),
    );
  });
});

for (const [name, architecture] of Object.entries({ ...ARCHITECTURES, ...EXPORTED })) {
  describe(name, () => {
    it(
      architecture.maps ? 'makes activation maps' : 'says why it makes no activation maps, and what helps',
      async () => {
        const folder = await folderOf(name, architecture);
        const checks = await checkModel(folder);
        assert.ok(
          checks.every(({ outcome }) => outcome !== 'fail'),
          JSON.stringify(checks),
        );
        const maps = checks.find(({ claim }) => claim === 'activation maps');
        assert.equal(maps?.outcome, architecture.maps ? 'pass' : 'note', maps?.detail);
        if (architecture.maps) return;
        assert.match(maps?.detail ?? '', /use --localizer NAME or --map uniform/);
        await assert.rejects(openEngine(spec(folder)), {
          code: 'MODEL_NO_LOCALIZATION',
          message: /by --localizer NAME/,
        });
      },
    );

    it('gives the same verdicts with the defence in its graph as with the kernel', async () => {
      const model = await folderOf(name, architecture);
      const localizer = architecture.maps ? null : 'efficientnet-lite0-int8';
      const kernel = await verdicts(spec(model, { localizer }));
      assert.deepEqual(await verdicts(spec(model, { localizer, graph: 'on' })), kernel);
    });

    if (!(name in ARCHITECTURES)) return;

    it('rises along its gradient by as much as the gradient is long', async () => {
      const model = await openModel(await folderOf(name, architecture));
      const classifier = await openDifferentiable(model);
      try {
        const input = Float32Array.from(values(3 * SIDE * SIDE, 5));
        const seed = Float32Array.from(values(classifier.labels.length, 9));
        const { gradient, scores } = await classifier.gradient(input, [{ kind: 'linear', seed }]);
        const loss = async (step: number) => {
          const moved = input.map((value, i) => value + (step * gradient[i]!) / norm);
          const output = await classifier.classify(moved, 1, false);
          return output.scores.reduce((sum, score, c) => sum + score * seed[c]!, 0);
        };
        const norm = Math.hypot(...gradient);
        assert.ok(norm > 0 && scores.every(Number.isFinite));
        const step = 2e-3;
        const slope = ((await loss(step)) - (await loss(-step))) / (2 * step);
        // What is left comes from kinks of rectifiers between the two points.
        assert.ok(Math.abs(slope / norm - 1) < 0.05, `${slope} along a gradient of ${norm}`);
      } finally {
        await classifier.dispose();
      }
    });
  });
}

describe('a network of old operators', () => {
  const open = (network: Uint8Array) => openRunClassifier(modelOf(network), { ...SETTINGS, map: 'uniform' }, 'on');

  it('is refused where they had another meaning, or nobody knows what they mean now', async () => {
    for (const [opset, extra, message] of [
      [6, [], /version 6 of ONNX's operators, and 7 is the oldest/],
      [8, [node('TopK', ['flat'], 'top', { k: 1 })], /"TopK" of version 8/],
    ] as const) {
      const network = behindBody([...HEAD.nodes, ...extra], HEAD.tensors, { opset });
      await assert.rejects(open(network), { code: 'MODEL_UNSUPPORTED', message });
    }
  });

  it('gives the same scores when its padding, slices and limits are written anew', async () => {
    const nodes = [
      node('Clip', ['maps'], 'limited', { max: { float: 0.5 } }),
      node('Pad', ['limited'], 'padded', { pads: [0, 0, 1, 1, 0, 0, 1, 1], value: { float: 0.25 } }),
      node('Slice', ['padded'], 'sliced', { axes: [2, 3], starts: [0, 1], ends: [4, 6] }),
      node('GlobalAveragePool', ['sliced'], 'pooled'),
      ...HEAD.nodes.slice(1),
    ];
    const model = modelOf(behindBody(nodes, [...HEAD.tensors, floats('unused', [1])], { opset: 8 }));
    const classifier = await openDifferentiable(model);
    const input = Float32Array.from(values(2 * 3 * 8 * 8));
    const seed = new Float32Array(5);
    const made = await classifier.gradient(input, [
      { kind: 'linear', seed },
      { kind: 'linear', seed },
    ]);
    const { scores } = await classifier.classify(input, 2, false);
    await classifier.dispose();
    assert.deepEqual(made.scores, scores);
  });
});
