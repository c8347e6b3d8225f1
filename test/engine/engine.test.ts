/** The engine with the defence in the model's graph says what it says with the kernel, on real images and the real model. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { PAPER_SETTINGS } from '../../src/defense/settings.js';
import { type EngineSpec, openEngine } from '../../src/engine/engine.js';
import { DeflectorError } from '../../src/errors.js';
import { decoderFor } from '../../src/images/decoder.js';
import type { FetchedImage, OkVerdict, Preprocessing } from '../../src/types.js';
import { checkLeaks } from '../helpers/leaks.js';
import { fromRoot } from '../helpers/root.js';

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
    const images = await samples(engine.info.preprocessing);
    const outcomes = await Promise.all(images.map(image => engine.defend(image)));
    return outcomes.map(({ verdict }) => {
      assert.equal(verdict.status, 'ok');
      return verdict as OkVerdict;
    });
  } finally {
    await engine.close();
  }
}

const FILES = [
  'astronaut.jpg',
  'chelsea.png',
  'rocket.jpg',
  'adversarial/coffee-igsm.png',
  'adversarial/rocket-cw.png',
];

function samples(preprocessing: Preprocessing): Promise<FetchedImage[]> {
  const decode = decoderFor(preprocessing, 'model', { maxBytes: 2 ** 24, maxPixels: 2 ** 24, imageTimeout: 30 });
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
