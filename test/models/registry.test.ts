import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { readModel } from '../../src/models/model.js';
import { listModels, openModel, resolveModel, userModels } from '../../src/models/registry.js';
import { temporaryFolder } from '../helpers/files.js';
import { fromRoot } from '../helpers/root.js';
import { SMALL_CONFIG, SMALL_NETWORK, SMALL_PROCESSOR, writeModel } from './folders.js';
import { BODY, behindBody, CLASSES, HEAD, onnx, outside, signature } from './onnx/builder.js';

const DIGEST = createHash('sha256').update(SMALL_NETWORK).digest('hex');

describe('the registry of models', () => {
  it('holds the bundled models and those of the user, and hides a name that is bundled', async t => {
    const root = await temporaryFolder(t);
    for (const name of ['zebra', 'ant', 'efficientnet-lite0']) await writeModel(join(root, name));
    await mkdir(join(root, '.adding-1'));
    await writeFile(join(root, 'notes'), '');
    const models = await listModels({ DEFLECTOR_MODELS: root });
    assert.deepEqual(models, [
      { name: 'efficientnet-lite0', folder: fromRoot('models/efficientnet-lite0'), origin: 'bundled' },
      { name: 'efficientnet-lite0-int8', folder: fromRoot('models/efficientnet-lite0-int8'), origin: 'bundled' },
      { name: 'ant', folder: join(root, 'ant'), origin: 'added' },
      { name: 'zebra', folder: join(root, 'zebra'), origin: 'added' },
    ]);
  });

  it('keeps added models where the system keeps the data of a user', { skip: process.platform === 'win32' }, () => {
    assert.equal(userModels({ DEFLECTOR_MODELS: '/models' }), '/models');
    assert.equal(userModels({ XDG_DATA_HOME: '/data' }), '/data/deflector/models');
    const home = join(homedir(), '.local/share/deflector/models');
    assert.equal(userModels({}), home);
    assert.equal(userModels({ XDG_DATA_HOME: 'relative' }), home);
  });

  it('tells a folder from a name by a slash or a leading dot', async t => {
    const root = await temporaryFolder(t);
    const env = { DEFLECTOR_MODELS: root };
    await writeModel(join(root, 'ant'));
    assert.equal(await resolveModel('ant', env), join(root, 'ant'));
    assert.equal(await resolveModel(`${root}/ant`, env), join(root, 'ant'));
    for (const name of ['bee', '../ant', `${root}/bee`, '', '..', '.', 'a\0b', 'ant/../../x', '-ant']) {
      if (name === '.' || name === '..') continue;
      await assert.rejects(resolveModel(name, env), { code: 'MODEL_NOT_FOUND' }, JSON.stringify(name));
    }
  });
});

describe("a model's folder", () => {
  it('may be one that nobody recorded: it goes by the name of its folder', async t => {
    const folder = await writeModel(join(await temporaryFolder(t), 'mine'));
    const model = await openModel(folder);
    assert.deepEqual(model.identity, { name: 'mine', sha256: DIGEST });
    assert.equal(model.recorded, false);
    assert.deepEqual(model.labels[1], { index: 1, id: '', name: 'class 1' });
  });

  it('may have its network beside config.json, or behind a link, as in the cache of Hugging Face', async t => {
    const root = await temporaryFolder(t);
    await writeFile(join(root, 'blob'), SMALL_NETWORK);
    const folder = await writeModel(join(root, 'snapshot'), { 'onnx/model.onnx': undefined });
    await symlink(join('..', 'blob'), join(folder, 'model.onnx'));
    assert.equal((await readModel(folder)).identity.sha256, DIGEST);
  });

  describe('with weights in a file beside the network, as large exports have', () => {
    const network = behindBody(HEAD.nodes, [outside('w', 'model.onnx_data', 8, 120), HEAD.tensors[1]!]);
    const weights = Buffer.concat([Buffer.alloc(8), HEAD.tensors[0]!.rawData]);

    it('is read, and its digest covers the weights', async t => {
      const root = await temporaryFolder(t);
      const digests = new Set<string>();
      for (const change of [0, 1]) {
        const data = Buffer.from(weights);
        data[20]! ^= change;
        const folder = await writeModel(root, { 'onnx/model.onnx': network, 'onnx/model.onnx_data': data });
        const model = await readModel(folder);
        assert.equal(model.network.headless, undefined);
        digests.add(model.identity.sha256);
      }
      assert.equal(digests.size, 2);
    });

    for (const [what, data, message] of [
      ['is absent', undefined, /weights lie in .*model\.onnx_data, which is absent/],
      ['is too short', weights.subarray(0, 127), /has 127 bytes and ends before the weights do/],
    ] as const) {
      it(`is refused where that file ${what}`, async t => {
        const files = { 'onnx/model.onnx': network, 'onnx/model.onnx_data': data };
        const folder = await writeModel(await temporaryFolder(t), files);
        await assert.rejects(readModel(folder), { code: 'MODEL_INVALID', message });
      });
    }
  });

  it('is refused where a file of it is a folder', async t => {
    const folder = await writeModel(await temporaryFolder(t), { 'config.json': undefined });
    await mkdir(join(folder, 'config.json'));
    await assert.rejects(readModel(folder), { code: 'MODEL_INVALID', message: /config\.json is no file/ });
  });

  const record = { schema: 'deflector/model@1', name: 'known', sha256: DIGEST, recipe: 'official' };

  it('gives its recorded name and its recommended recipe', async t => {
    const folder = await writeModel(await temporaryFolder(t), { 'deflector.json': record });
    const model = await readModel(folder);
    assert.deepEqual([model.identity.name, model.recorded, model.recommendation?.recipe], ['known', true, 'official']);
  });

  const wide = onnx({
    ...{ nodes: [...BODY.nodes, ...HEAD.nodes], tensors: [...BODY.tensors, ...HEAD.tensors] },
    inputs: [signature('input', ['N', 3, 8, 16])],
  });
  const broken: readonly [string, Readonly<Record<string, unknown>>, string, RegExp][] = [
    ['no config.json', { 'config.json': undefined }, 'MODEL_NOT_FOUND', /no config\.json/],
    [
      'no network',
      { 'onnx/model.onnx': undefined },
      'MODEL_NOT_FOUND',
      /none of onnx\/model\.onnx, model\.onnx, tfjs\/model\.json, model\.json/,
    ],
    ['JSON cut short', { 'config.json': '{"id2label": {' }, 'MODEL_INVALID', /config\.json is not JSON/],
    ['no labels', { 'config.json': { model_type: 'resnet' } }, 'MODEL_INVALID', /config\.json: id2label/],
    [
      'too few labels',
      { 'config.json': { id2label: { 0: 'a', 1: 'b' } } },
      'MODEL_INVALID',
      /gives 5 scores, but config\.json names 2 classes/,
    ],
    [
      'a gap in the labels',
      { 'config.json': { id2label: { ...SMALL_CONFIG.id2label, 4: undefined, 7: 'x' } } },
      'MODEL_INVALID',
      /none for class 4/,
    ],
    [
      'ids for other classes',
      { 'config.json': { ...SMALL_CONFIG, wordnet_ids: ['n1'] } },
      'MODEL_INVALID',
      new RegExp(`wordnet_ids has 1 entries, not ${CLASSES}`),
    ],
    [
      'another input size than the network',
      { 'onnx/model.onnx': wide },
      'MODEL_INVALID',
      /takes 16x8 pixels, but preprocessor_config\.json makes 8x8/,
    ],
    ['a network cut short', { 'onnx/model.onnx': SMALL_NETWORK.subarray(0, 500) }, 'MODEL_INVALID', /cut short/],
    ['a record that is none', { 'deflector.json': { name: 'x' } }, 'MODEL_INVALID', /deflector\.json/],
    [
      'another network than recorded',
      { 'deflector.json': { ...record, sha256: '0'.repeat(64) } },
      'MODEL_DIGEST_MISMATCH',
      /but 0{64} is recorded/,
    ],
    [
      'preprocessing that is not offered',
      { 'preprocessor_config.json': { ...SMALL_PROCESSOR, resample: 5 } },
      'MODEL_UNSUPPORTED',
      /resample 5/,
    ],
  ];
  for (const [name, files, code, message] of broken) {
    it(`is refused: ${name}`, async t => {
      const folder = await writeModel(await temporaryFolder(t), files);
      await assert.rejects(readModel(folder), { code, message }, basename(folder));
    });
  }
});
