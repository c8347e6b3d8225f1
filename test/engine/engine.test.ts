/** The engine with the defence in the model's graph says what it says with the kernel, on real images and the real model. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { PAPER_SETTINGS } from '../../src/defense/settings.js';
import { type EngineSpec, openEngine } from '../../src/engine/engine.js';
import { DeflectorError } from '../../src/errors.js';
import { decoderFor } from '../../src/images/decoder.js';
import { openModel } from '../../src/models/registry.js';
import type { FetchedImage, OkVerdict, Preprocessing } from '../../src/types.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { fromRoot } from '../helpers/root.js';
import { SMALL_PROCESSOR, writeModel } from '../models/folders.js';
import { BODY, HEAD, onnx, signature } from '../models/onnx/builder.js';

checkLeaks();

const SPEC: EngineSpec = {
  model: 'efficientnet-lite0',
  localizer: null,
  runtime: 'onnxruntime-cpu',
  graph: 'on',
  device: 0,
  settings: { ...PAPER_SETTINGS, seed: '1', runs: 3 },
  record: {},
  maximumBatch: 4,
  threads: 1,
};

async function verdictsOf(change: Partial<EngineSpec>): Promise<OkVerdict[]> {
  const engine = await openEngine({ ...SPEC, ...change });
  try {
    const images = await samples(engine.info.preprocessing, change.settings?.at);
    const outcomes = await Promise.all(images.map(image => engine.defend(image)));
    return outcomes.map(({ verdict }) => {
      assert.equal(verdict.status, 'ok');
      return verdict as OkVerdict;
    });
  } finally {
    await engine.close();
  }
}

const LABELS = { 0: 'a', 1: 'b', 2: 'c', 3: 'd', 4: 'e' };

const FILES = [
  'astronaut.jpg',
  'chelsea.png',
  'rocket.jpg',
  'adversarial/coffee-igsm.png',
  'adversarial/rocket-cw.png',
];

function samples(preprocessing: Preprocessing, at: 'model' | 'original' = 'model'): Promise<FetchedImage[]> {
  const decode = decoderFor(preprocessing, at, { maxBytes: 2 ** 24, maxPixels: 2 ** 24, imageTimeout: 30 });
  return Promise.all(
    FILES.map(async (key, index) => {
      const bytes = await readFile(fromRoot(`samples/${key}`));
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { index, key, sha256, pixels: await decode(bytes), ms: { fetch: 0, decode: 0 } };
    }),
  );
}

/** What is left of a verdict when roundings are taken out. */
function rounded({ key, label, votes, runsExecuted, suspicious, probability, undefended }: OkVerdict) {
  return { key, label, votes, runsExecuted, suspicious, undefended, probability: Number(probability.toFixed(3)) };
}

describe('the engine', () => {
  it('says the same with the defence in the graph of the model as with the kernel', async () => {
    const [kernel, graph] = [await verdictsOf({ graph: 'off' }), await verdictsOf({})];
    assert.deepEqual(graph.map(rounded), kernel.map(rounded));
    assert.ok(kernel.some(({ suspicious }) => suspicious) && kernel.some(({ suspicious }) => !suspicious));
  });

  it('votes on risk and in half precision with the defence in the graph', async () => {
    const settings = { ...SPEC.settings, runs: 10, earlyStop: { kind: 'risk', probability: 0.001 } } as const;
    const labels = async (change: Partial<EngineSpec>) =>
      (await verdictsOf({ settings, ...change })).map(({ label }) => label.index);
    const expected = await labels({ graph: 'off' });
    assert.deepEqual(await labels({}), expected);
    assert.deepEqual(await labels({ graph: 'half' }), expected);
  });

  it('does what a verdict asks for beside the label, whoever makes the runs', async () => {
    const engine = await openEngine(SPEC);
    const [image] = await samples(engine.info.preprocessing);
    const outcome = await engine.defend(image!, { defended: true, explanation: true });
    await engine.close();
    assert.equal(engine.info.graph, true);
    assert.equal(outcome.defended?.width, engine.info.preprocessing.width);
    assert.ok(outcome.explanation!.deflected.length > 0);
  });

  it('refuses to put settings into a graph that do not go there, and leaves them to the kernel on auto', async () => {
    const settings = { ...SPEC.settings, wavelet: 'db2' };
    await assert.rejects(
      openEngine({ ...SPEC, settings }),
      (error: unknown) =>
        error instanceof DeflectorError && error.code === 'SETTINGS_INVALID' && /db2/.test(error.message),
    );
    const engine = await openEngine({ ...SPEC, settings, graph: 'auto' });
    assert.equal(engine.info.graph, false);
    await engine.close();
  });
});

describe('several models', () => {
  const [ONE, OTHER] = ['efficientnet-lite0', 'efficientnet-lite0-int8'] as const;

  it('take the runs in turn, and are one name and one digest together', async () => {
    const settings = { ...SPEC.settings, runs: 4, earlyStop: { kind: 'off' } } as const;
    const change = { settings, graph: 'off' } as const;
    const verdicts = await verdictsOf({ ...change, voters: [OTHER] });
    const digests = (await Promise.all([ONE, OTHER].map(name => openModel(name)))).map(
      ({ identity }) => identity.sha256,
    );
    const sha256 = createHash('sha256')
      .update(`${digests.join('\n')}\n`)
      .digest('hex');
    for (const { model, votes, runsExecuted } of verdicts) {
      assert.deepEqual(model, { name: `${ONE}+${OTHER}`, sha256 });
      assert.equal(
        votes.reduce((sum, { count }) => sum + count, 0),
        4,
      );
      assert.equal(runsExecuted, 4);
    }
    // The undefended pass is the first model's; a model that votes beside itself changes nothing but the name.
    const [alone, twice] = [await verdictsOf(change), await verdictsOf({ ...change, voters: [ONE] })];
    assert.deepEqual(twice.map(rounded), alone.map(rounded));
    assert.deepEqual(
      verdicts.map(({ undefended }) => undefended),
      alone.map(({ undefended }) => undefended),
    );
  });

  it('give run k to the k-th of them in turn', async () => {
    const settings = (runs: number) => ({ ...SPEC.settings, runs, earlyStop: { kind: 'off' } }) as const;
    const probabilities = async (model: string, voters: readonly string[], runs: number) =>
      (await verdictsOf({ model, voters, settings: settings(runs), graph: 'off' })).map(
        ({ votes, runsExecuted, probability, label }) => ({ votes, runsExecuted, label: label.index, probability }),
      );
    // One run is run 0, which is the first model's.
    assert.deepEqual(await probabilities(ONE, [OTHER], 1), await probabilities(ONE, [], 1));
    assert.notDeepEqual(await probabilities(ONE, [OTHER], 2), await probabilities(ONE, [], 2));
  });

  it('are the same whatever their batches', async () => {
    const change = { voters: [OTHER], graph: 'off' } as const;
    const [small, large] = [
      await verdictsOf({ ...change, maximumBatch: 1 }),
      await verdictsOf({ ...change, maximumBatch: 7 }),
    ];
    assert.deepEqual(small.map(rounded), large.map(rounded));
  });

  it('may have inputs of different sizes, but not different classes', async t => {
    const folder = await temporaryFolder(t);
    const smaller = await writeModel(join(folder, 'smaller'), { 'config.json': { id2label: LABELS } });
    const larger = await writeModel(join(folder, 'larger'), {
      'config.json': { id2label: LABELS },
      'onnx/model.onnx': onnx({
        nodes: [...BODY.nodes, ...HEAD.nodes],
        tensors: [...BODY.tensors, ...HEAD.tensors],
        inputs: [signature('input', ['N', 3, 16, 16])],
      }),
      'preprocessor_config.json': { ...SMALL_PROCESSOR, size: { height: 16, width: 16 } },
    });
    for (const at of ['model', 'original'] as const) {
      const settings = { ...SPEC.settings, at };
      const verdicts = await verdictsOf({ model: larger, voters: [smaller], settings, graph: 'off' });
      assert.ok(verdicts.every(({ model }) => model.name === 'larger+smaller'));
    }
    await assert.rejects(openEngine({ ...SPEC, model: larger, voters: [ONE], graph: 'off' }), {
      code: 'MODEL_UNSUPPORTED',
      message: 'The models larger and efficientnet-lite0 cannot vote together: they have 5 and 1000 classes',
    });
    const renamed = await writeModel(join(folder, 'renamed'), { 'config.json': { id2label: { ...LABELS, 2: 'x' } } });
    await assert.rejects(openEngine({ ...SPEC, model: smaller, voters: [renamed], graph: 'off' }), {
      message: /class 2 is "c" to one and "x" to the other/,
    });
  });

  it('neither end their vote on a risk nor have the defence in a graph', async () => {
    const settings = { ...SPEC.settings, runs: 10, earlyStop: { kind: 'risk', probability: 0.01 } } as const;
    await assert.rejects(openEngine({ ...SPEC, settings, voters: [OTHER], graph: 'off' }), {
      code: 'SETTINGS_INVALID',
      message: /exact or off, since several models vote for --early-stop/,
    });
    await assert.rejects(openEngine({ ...SPEC, voters: [OTHER] }), { code: 'SETTINGS_INVALID', message: /--graph/ });
  });
});
