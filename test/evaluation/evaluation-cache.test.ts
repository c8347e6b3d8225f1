import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PAPER_SETTINGS } from '../../src/defense/settings.js';
import {
  type Circumstances,
  EvaluationCache,
  keyOfCircumstances,
  keyOfDefence,
} from '../../src/evaluation/evaluation-cache.js';
import { MEASUREMENT_SCHEMA, type Measurement } from '../../src/evaluation/measurement.js';
import { FileSystemStore } from '../../src/storage/filesystem-store.js';
import { temporaryFolder } from '../helpers/files.js';

const HERE: Circumstances = {
  model: 'm',
  preprocessing: {
    width: 8,
    height: 8,
    fit: 'stretch',
    cropFraction: 1,
    resizeShortest: 8,
    interpolation: 'bicubic',
    mean: [0, 0, 0],
    std: [1, 1, 1],
    channels: 'rgb',
    layout: 'nchw',
  },
  clean: 'c',
  given: null,
  label: 1,
  attack: 'fgsm',
  parameters: { epsilon: 0.1 },
  seed: '1',
};

const SETTINGS = { ...PAPER_SETTINGS, seed: '1' };

describe('the cache of an evaluation', () => {
  it('names what was found by all that it follows from', () => {
    const others: Circumstances[] = [
      { ...HERE, model: 'n' },
      { ...HERE, preprocessing: { ...HERE.preprocessing, interpolation: 'nearest' } },
      { ...HERE, runtime: 'tfjs-wasm' },
      { ...HERE, clean: 'd' },
      { ...HERE, given: 'c' },
      { ...HERE, label: 2 },
      { ...HERE, attack: 'igsm' },
      { ...HERE, parameters: { epsilon: 0.2 } },
      { ...HERE, seed: '2' },
    ];
    const keys = [HERE, ...others].map(keyOfCircumstances);
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(keyOfCircumstances({ ...HERE }), keys[0]);
  });

  it('names a defence by what differs from the paper, its seed and its patches', () => {
    const keys = [
      keyOfDefence(SETTINGS, undefined),
      keyOfDefence({ ...SETTINGS, seed: '2' }, undefined),
      keyOfDefence({ ...SETTINGS, sigma: 0.05 }, undefined),
      keyOfDefence({ ...SETTINGS, order: ['denoise'] }, undefined),
      keyOfDefence(SETTINGS, 'patches'),
    ];
    assert.equal(new Set(keys).size, keys.length);
  });

  it('gives back what was kept, and nothing where files are not its own or damaged', async t => {
    const folder = await temporaryFolder(t);
    const store = new FileSystemStore(folder);
    const cache = new EvaluationCache(store);
    const key = keyOfCircumstances(HERE);
    const measurement = { schema: MEASUREMENT_SCHEMA, label: 1 } as unknown as Measurement;
    const image = { width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    assert.deepEqual([await cache.find(key), await cache.findImage(key)], [undefined, undefined]);
    await cache.keep(key, measurement, image);
    assert.deepEqual(await cache.find(key), measurement);
    assert.deepEqual(Uint8Array.from((await cache.findImage(key))!.data), image.data);
    const name = `measured/${key.slice(0, 2)}/${key}.json`;
    for (const text of ['{"schema":"other"}', '{"schema":"defl', '']) {
      await store.write(name, Buffer.from(text));
      assert.equal(await cache.find(key), undefined, text);
    }
  });
});
