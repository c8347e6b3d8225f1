import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { addModel } from '../../../src/models/add-model.js';
import { readModel } from '../../../src/models/model.js';
import { openModel } from '../../../src/models/registry.js';
import { readTensorflowNetwork, type TensorflowFiles, tensorflowDigest } from '../../../src/models/tfjs/network.js';
import { Weights } from '../../../src/models/tfjs/weights.js';
import { temporaryFolder } from '../../helpers/files.js';
import { tensorflowFolder } from '../../helpers/tensorflow.js';
import { SMALL_CONFIG, SMALL_PROCESSOR } from '../folders.js';
import { CHANNELS, CLASSES, SIDE } from '../onnx/builder.js';
import {
  BODY,
  BODY_WEIGHTS,
  DENSE,
  FLOAT,
  GRAPH_BODY,
  GRAPH_HEAD,
  graphModel,
  graphNode,
  HEAD,
  HEAD_WEIGHTS,
  INPUT,
  layer,
  layersModel,
  text,
  WHOLE_POOL,
  weight,
} from './builder.js';

const WEIGHTS = [...BODY_WEIGHTS, ...HEAD_WEIGHTS];

function layers(...head: Parameters<typeof layersModel>[0] & object): TensorflowFiles {
  return layersModel([INPUT, ...BODY, ...head], WEIGHTS);
}

describe('the head of a layers model', () => {
  const pool = HEAD[0]!;
  const found: readonly [string, TensorflowFiles, 'logits' | 'probabilities'][] = [
    ['global pooling and a dense layer', layers(...HEAD), 'logits'],
    ['the same in a sequential model', layersModel(undefined, undefined, 'Sequential'), 'logits'],
    [
      'a dense layer with a softmax',
      layers(pool, layer('Dense', 'scores', { activation: 'softmax' })),
      'probabilities',
    ],
    ['a softmax of its own behind', layers(...HEAD, layer('Softmax', 'softmax')), 'probabilities'],
    [
      'an activation layer behind',
      layers(...HEAD, layer('Activation', 'end', { activation: 'softmax' })),
      'probabilities',
    ],
    [
      'average pooling over the whole map, flattened, with dropout',
      layers(
        layer('AveragePooling2D', 'pool', { pool_size: [4, 4], padding: 'valid' }),
        layer('Flatten', 'flat'),
        layer('Dropout', 'drop', { rate: 0.5 }),
        DENSE,
      ),
      'logits',
    ],
  ];
  for (const [what, files, kind] of found) {
    it(`is found: ${what}`, () => {
      const { head, headless, output } = readTensorflowNetwork(files);
      assert.equal(headless, undefined);
      assert.equal(head?.features, 'maps');
      assert.deepEqual([head.linear?.classes, head.linear?.channels], [CLASSES, CHANNELS]);
      // Keras stores [channels, classes].
      assert.equal(head.linear?.weights[1 * CHANNELS + 2], Math.fround(HEAD_WEIGHTS[0]!.data[2 * CLASSES + 1]!));
      assert.equal(output.kind, kind);
    });
  }

  const none: readonly [string, TensorflowFiles, RegExp][] = [
    [
      'two layers behind the pooling',
      layers(pool, layer('Dense', 'more', { activation: 'relu' }), DENSE),
      /reads a layer Dense/,
    ],
    [
      'an activation on the last layer',
      layers(pool, layer('Dense', 'scores', { activation: 'relu' })),
      /activation relu/,
    ],
    ['maximum pooling', layers(layer('GlobalMaxPooling2D', 'pool'), DENSE), /reads a layer GlobalMaxPooling2D/],
    [
      'padded pooling',
      layers(layer('AveragePooling2D', 'pool', { pool_size: 4, padding: 'same' }), DENSE),
      /is padded/,
    ],
    ['pooled pixels', layersModel([INPUT, ...HEAD], HEAD_WEIGHTS), /no feature maps of a convolution/],
    [
      'weights under another name',
      layersModel([INPUT, ...BODY, ...HEAD], [weight('x/kernel', [6, 5]), ...BODY_WEIGHTS]),
      /not in the file under its name/,
    ],
  ];
  for (const [what, files, reason] of none) {
    it(`is not there, and why is said: ${what}`, () => {
      const { head, headless } = readTensorflowNetwork(files);
      assert.equal(head, undefined);
      assert.match(headless ?? '', reason);
    });
  }
});

describe('the head of a graph model', () => {
  const fused = (name: string, ...operators: string[]) =>
    graphNode('_FusedMatMul', name, ['flat', 'scores/kernel', 'scores/bias'], {
      fused_ops: { list: { s: operators.map(operator => text(operator).s) } },
    });
  const [pool, flat, product, bias] = GRAPH_HEAD as [
    typeof WHOLE_POOL,
    typeof WHOLE_POOL,
    typeof WHOLE_POOL,
    typeof WHOLE_POOL,
  ];
  const axes = weight('axes', [2]);
  const mean = graphNode('Mean', 'pool', ['maps', 'axes'], { keep_dims: { b: true } });
  const found: readonly [string, TensorflowFiles, 'logits' | 'probabilities'][] = [
    ['a matrix product and a bias', graphModel(), 'logits'],
    ['both as one operator', graphModel([...GRAPH_BODY, pool, flat, fused('end', 'BiasAdd')]), 'logits'],
    [
      'a softmax behind',
      graphModel([...GRAPH_BODY, ...GRAPH_HEAD, graphNode('Softmax', 'p', ['logits'])]),
      'probabilities',
    ],
    [
      'the mean over height and width',
      graphModel([...GRAPH_BODY, mean, flat, product, bias], [...WEIGHTS, { ...axes, data: [-3, 2] }]),
      'logits',
    ],
  ];
  for (const [what, files, kind] of found) {
    it(`is found: ${what}`, () => {
      const { head, headless, output } = readTensorflowNetwork(files);
      assert.equal(headless, undefined);
      assert.equal(head?.features, 'maps');
      assert.equal(head.linear?.weights[1 * CHANNELS + 2], Math.fround(HEAD_WEIGHTS[0]!.data[2 * CLASSES + 1]!));
      assert.equal(output.kind, kind);
    });
  }

  const none: readonly [string, TensorflowFiles, RegExp][] = [
    [
      'a product fused with more than a bias',
      graphModel([...GRAPH_BODY, pool, flat, fused('end', 'BiasAdd', 'Relu')]),
      /fused with BiasAdd, Relu/,
    ],
    [
      'the mean over channels',
      graphModel([...GRAPH_BODY, mean, flat, product, bias], [...WEIGHTS, { ...axes, data: [1, 3] }]),
      /something else/,
    ],
    [
      'maximum pooling',
      graphModel([...GRAPH_BODY, { ...WHOLE_POOL, op: 'MaxPool' }, flat, product, bias]),
      /reads "MaxPool"/,
    ],
    [
      'channels first',
      graphModel([
        ...GRAPH_BODY,
        { ...WHOLE_POOL, attr: { ...WHOLE_POOL.attr, data_format: text('NCHW') } },
        flat,
        product,
        bias,
      ]),
      /channels first/,
    ],
  ];
  for (const [what, files, reason] of none) {
    it(`is not there, and why is said: ${what}`, () => {
      assert.match(readTensorflowNetwork(files).headless ?? '', reason);
    });
  }
});

describe('reading a TensorFlow.js model', () => {
  it('tells input size and layout', () => {
    assert.deepEqual(readTensorflowNetwork(graphModel(undefined, undefined, 4)).input, {
      ...{ name: 'image', type: 'float32', layout: 'nhwc', batch: 4, height: SIDE, width: SIDE },
    });
  });

  const changed = (change: (json: Record<string, unknown>) => void, from = layersModel()): TensorflowFiles => {
    const json = JSON.parse(Buffer.from(from.json).toString());
    change(json);
    return { ...from, json: Buffer.from(JSON.stringify(json)) };
  };
  const grey = layer('InputLayer', 'image', { batch_input_shape: [null, SIDE, SIDE, 1] });
  const bytes = layer('InputLayer', 'image', { batch_input_shape: [null, SIDE, SIDE, 3], dtype: 'int32' });
  const refused: readonly [string, TensorflowFiles, string, RegExp][] = [
    ['no JSON', { ...layersModel(), json: Buffer.from('{') }, 'MODEL_INVALID', /not JSON/],
    [
      'another JSON',
      { json: Buffer.from('{"a":1}'), shards: [] },
      'MODEL_INVALID',
      /not that of a TensorFlow.js model/,
    ],
    [
      'weights cut short',
      { ...layersModel(), shards: layersModel().shards.slice(0, 1) },
      'MODEL_INVALID',
      /describes \d+ bytes of weights; there are 100/,
    ],
    [
      'a shard outside of its folder',
      changed(json => Object.assign(json, { weightsManifest: [{ paths: ['../x'], weights: [] }] })),
      'MODEL_INVALID',
      /no path below/,
    ],
    ['grey images', layersModel([grey, ...BODY, ...HEAD]), 'MODEL_UNSUPPORTED', /takes 1 channels/],
    ['integers', layersModel([bytes, ...BODY, ...HEAD]), 'MODEL_UNSUPPORTED', /takes int32/],
    [
      'a sigmoid for each label',
      layersModel([INPUT, ...BODY, HEAD[0]!, layer('Dense', 'scores', { activation: 'sigmoid' })]),
      'MODEL_UNSUPPORTED',
      /sigmoid each/,
    ],
    [
      'two outputs',
      graphModel([...GRAPH_BODY, ...GRAPH_HEAD.slice(0, 3), graphNode('Relu', 'other', ['maps'])]),
      'MODEL_UNSUPPORTED',
      /or several are/,
    ],
    [
      'two inputs',
      graphModel([...GRAPH_BODY, ...GRAPH_HEAD, { name: 'second', op: 'Placeholder', attr: { dtype: FLOAT } }]),
      'MODEL_UNSUPPORTED',
      /takes 2 inputs/,
    ],
  ];
  for (const [what, files, code, message] of refused) {
    it(`refuses ${what}`, () => assert.throws(() => readTensorflowNetwork(files), { code, message }));
  }

  it('undoes quantisation as TensorFlow.js does: code x scale + minimum; half precision', () => {
    const specs = [
      { name: 'a', shape: [3], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.5, min: -1 } },
      { name: 'b', shape: [1], dtype: 'float32', quantization: { dtype: 'uint16', scale: 0.25, min: 2 } },
      { name: 'c', shape: [1], dtype: 'float32', quantization: { dtype: 'float16' } },
    ];
    const weights = new Weights(specs, Uint8Array.of(0, 2, 255, 0x00, 0x01, 0x00, 0x3e));
    assert.deepEqual(weights.read('a')?.data, Float32Array.of(-1, 0, 126.5));
    assert.deepEqual(weights.read('b')?.data, Float32Array.of(66));
    assert.deepEqual(weights.read('c')?.data, Float32Array.of(1.5));
    assert.equal(weights.read('d'), undefined);
  });
});

async function writeFiles(folder: string, { json, shards }: TensorflowFiles): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'model.json'), json);
  for (const { path, bytes } of shards) await writeFile(join(folder, path), bytes);
}

describe('adding a TensorFlow.js model', () => {
  it('copies all of its files; one digest covers them, as sha256sum makes it', async t => {
    tensorflowFolder();
    const root = await temporaryFolder(t);
    const source = join(root, 'net');
    await writeFiles(join(source, 'tfjs'), layersModel());
    await writeFile(join(source, 'config.json'), JSON.stringify(SMALL_CONFIG));
    await writeFile(join(source, 'preprocessor_config.json'), JSON.stringify(SMALL_PROCESSOR));
    const env = { DEFLECTOR_MODELS: join(root, 'added') };
    const added = await addModel(source, { description: {}, env });
    assert.deepEqual(
      added.checks.map(({ claim, outcome }) => `${outcome} ${claim}`),
      ['pass files', 'pass digest', 'pass runs', 'pass scores', 'pass batches', 'pass activation maps'],
    );
    const model = await openModel('net', env);
    const digest = execFileSync('sh', ['-c', 'sha256sum model.json group1-shard*.bin | sha256sum'], {
      cwd: join(added.folder, 'tfjs'),
    });
    assert.equal(digest.toString().slice(0, 64), model.identity.sha256);
    assert.equal(tensorflowDigest(layersModel()), model.identity.sha256);

    await writeFile(
      join(added.folder, 'tfjs', 'group1-shard2of2.bin'),
      layersModel().shards[1]!.bytes.map(byte => byte ^ 1),
    );
    await assert.rejects(readModel(added.folder), { code: 'MODEL_DIGEST_MISMATCH' });
  });

  it('takes a bare model.json, and is told what that leaves open', async t => {
    const root = await temporaryFolder(t);
    await writeFiles(join(root, 'bare'), graphModel());
    const options = { description: {}, env: { DEFLECTOR_MODELS: join(root, 'added') } };
    const path = join(root, 'bare', 'model.json');
    await assert.rejects(addModel(path, options), {
      code: 'SETTINGS_INVALID',
      message: /--labels FILE.*5 classes.*--mean.*--std/,
    });
    const labels = join(root, 'labels.txt');
    await writeFile(labels, 'ant\nbee\ncat\ndog\nelk\n');
    const added = await addModel(path, { ...options, description: { labels, mean: [0, 0, 0], std: [1, 1, 1] } });
    assert.equal(added.name, 'bare');
  });

  it('names the shard that is missing', async t => {
    const root = await temporaryFolder(t);
    await writeFiles(root, { ...graphModel(), shards: [] });
    await assert.rejects(addModel(join(root, 'model.json'), { description: {} }), {
      code: 'MODEL_INVALID',
      message: /group1-shard1of2\.bin beside .* absent/,
    });
  });
});
