import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type AddOptions, addModel, type ModelDescription } from '../../src/models/add-model.js';
import { checkModel } from '../../src/models/check-model.js';
import { openModel } from '../../src/models/registry.js';
import { temporaryFolder } from '../helpers/files.js';
import { SMALL_NETWORK, writeModel } from './folders.js';
import { BODY, behindBody, CLASSES, floats, HEAD, node, onnx, SIDE, signature } from './onnx/builder.js';

const DESCRIBED: ModelDescription = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

function withDescription(root: string, description: ModelDescription = {}): AddOptions {
  return { description, env: { DEFLECTOR_MODELS: join(root, 'added') } };
}

async function labelsFile(root: string, content = 'ant\nbee\ncat\ndog\nelk\n'): Promise<string> {
  const path = join(root, 'labels.txt');
  await writeFile(path, content);
  return path;
}

import { checkLeaks } from '../helpers/leaks.js';

checkLeaks();

describe('adding a folder', () => {
  it('copies it as it is, with licence and card, and records name and digest', async t => {
    const root = await temporaryFolder(t);
    const source = await writeModel(join(root, 'my-net'), {
      LICENSE: 'MIT',
      'README.md': '# card',
      'weights.bin': 'x',
    });
    const added = await addModel(source, withDescription(root, { recipe: 'official' }));
    assert.equal(added.name, 'my-net');
    assert.ok(added.checks.every(check => check.outcome === 'pass'));
    assert.deepEqual((await readdir(added.folder)).sort(), [
      ...['LICENSE', 'README.md', 'config.json', 'deflector.json', 'onnx', 'preprocessor_config.json'],
    ]);
    const model = await openModel('my-net', { DEFLECTOR_MODELS: join(root, 'added') });
    const sha256 = createHash('sha256').update(SMALL_NETWORK).digest('hex');
    assert.deepEqual(model.identity, { name: 'my-net', sha256 });
    assert.deepEqual([model.recorded, model.recommendation?.recipe], [true, 'official']);
    const original = await openModel(source);
    assert.deepEqual([model.preprocessing, model.labels], [original.preprocessing, original.labels]);
    assert.equal((await stat(added.folder)).mode & 0o555, 0o555);
  });

  it('fills what the folder leaves open by what is said', async t => {
    const root = await temporaryFolder(t);
    const source = await writeModel(join(root, 'bare'), {
      'config.json': { model_type: 'x' },
      'preprocessor_config.json': undefined,
    });
    const options = withDescription(root, { ...DESCRIBED, labels: await labelsFile(root) });
    await addModel(source, options);
    const model = await openModel('bare', options.env);
    assert.equal(model.labels[4]?.name, 'elk');
    assert.equal(model.preprocessing.fit, 'crop-then-resize');
  });

  it('leaves nothing behind where the model fails its checks', async t => {
    const root = await temporaryFolder(t);
    const source = await writeModel(join(root, 'short'), { 'config.json': { id2label: { 0: 'a', 1: 'b' } } });
    await assert.rejects(addModel(source, withDescription(root)), {
      code: 'MODEL_INVALID',
      message: /was not added: files: The network gives 5 scores/,
    });
    assert.deepEqual(await readdir(join(root, 'added')), []);
  });

  it('refuses a network that is not the one its folder records', async t => {
    const root = await temporaryFolder(t);
    const record = { schema: 'deflector/model@1', name: 'x', sha256: '0'.repeat(64) };
    const source = await writeModel(join(root, 'x'), { 'deflector.json': record });
    await assert.rejects(addModel(source, withDescription(root)), { code: 'MODEL_DIGEST_MISMATCH' });
  });

  it('takes a name once, and replaces it only when told to', async t => {
    const root = await temporaryFolder(t);
    const source = await writeModel(join(root, 'net'));
    const options = withDescription(root);
    await addModel(source, options);
    await assert.rejects(addModel(source, options), { code: 'SETTINGS_INVALID', message: /--name.*"net"/ });
    await writeModel(source, { 'README.md': 'new' });
    const { folder } = await addModel(source, { ...options, overwrite: true });
    assert.equal(await readFile(join(folder, 'README.md'), 'utf8'), 'new');
    assert.deepEqual(await readdir(join(root, 'added')), ['net']);
  });

  it('keeps names inside the folder of models, and those of bundled models', async t => {
    const root = await temporaryFolder(t);
    const source = await writeModel(join(root, 'net'));
    for (const name of ['../net', '.hidden', 'a/b', 'a\\b', '', '-rf', 'x'.repeat(101), 'efficientnet-lite0']) {
      await assert.rejects(
        addModel(source, withDescription(root, { name })),
        { code: 'SETTINGS_INVALID', message: /for --name/ },
        name,
      );
    }
  });

  it('says so where the folder of models cannot be written', async t => {
    const root = await temporaryFolder(t);
    const source = await writeModel(join(root, 'net'));
    await writeFile(join(root, 'added'), 'a file, no folder');
    await assert.rejects(addModel(source, withDescription(root)), { code: 'STORE_UNAVAILABLE' });
  });
});

describe('adding a bare .onnx file', () => {
  it('fails with all flags that are missing where nobody can be asked', async t => {
    const root = await temporaryFolder(t);
    const file = join(root, 'net.onnx');
    const open = onnx({
      ...{ nodes: [...BODY.nodes, ...HEAD.nodes], tensors: [...BODY.tensors, ...HEAD.tensors] },
      inputs: [signature('input', ['N', 3, 'H', 'W'])],
    });
    await writeFile(file, open);
    await assert.rejects(addModel(file, withDescription(root)), {
      code: 'SETTINGS_INVALID',
      message: /net\.onnx does not say.*--labels FILE \(the names of its 5 classes.*--mean.*--std.*--size N/,
    });
    await writeFile(file, SMALL_NETWORK);
    await assert.rejects(addModel(file, withDescription(root, { mean: [0, 0, 0] })), (error: Error) => {
      assert.match(error.message, /--labels.*--std/);
      assert.doesNotMatch(error.message, /--mean|--size/);
      return true;
    });
  });

  it('asks for what is missing, and only for that', async t => {
    const root = await temporaryFolder(t);
    const file = join(root, 'net.onnx');
    await writeFile(file, SMALL_NETWORK);
    const labels = await labelsFile(root);
    const asked: string[] = [];
    const { name } = await addModel(file, {
      ...withDescription(root, { labels }),
      ask: async fields => {
        asked.push(...fields);
        return DESCRIBED;
      },
    });
    assert.deepEqual(asked, ['mean', 'std']);
    const model = await openModel(name, { DEFLECTOR_MODELS: join(root, 'added') });
    assert.deepEqual(model.preprocessing.mean, DESCRIBED.mean);
  });

  it('reads labels as lines, as names, as objects with ids and as a map', async t => {
    const names = ['ant', 'bee', 'cat', 'dog', 'elk'];
    const forms: readonly [string, string][] = [
      ['\uFEFFant\r\nbee\r\ncat\r\ndog\r\nelk\r\n', ''],
      [JSON.stringify(names), ''],
      [JSON.stringify(names.map((name, i) => ({ index: i, id: `n${i}`, name }))), 'n2'],
      [JSON.stringify({ ...names }), ''],
      [JSON.stringify({ id2label: { ...names } }), ''],
    ];
    const root = await temporaryFolder(t);
    const file = join(root, 'net.onnx');
    await writeFile(file, SMALL_NETWORK);
    for (const [content, id] of forms) {
      const options = withDescription(root, { ...DESCRIBED, labels: await labelsFile(root, content) });
      await addModel(file, { ...options, overwrite: true });
      const { labels } = await openModel('net', options.env);
      assert.deepEqual(
        labels.map(label => label.name),
        names,
      );
      assert.equal(labels[2]?.id, id);
    }
    for (const content of ['[1, 2]', '{"a": 1}', '[', '{"id2label": {"0": "a"}}']) {
      const options = withDescription(root, { ...DESCRIBED, labels: await labelsFile(root, content) });
      await assert.rejects(addModel(file, { ...options, overwrite: true }), { code: 'MODEL_INVALID' }, content);
    }
  });

  it('refuses what is not there and what is no network', async t => {
    const root = await temporaryFolder(t);
    await assert.rejects(addModel(join(root, 'none.onnx'), withDescription(root)), { code: 'MODEL_NOT_FOUND' });
    await assert.rejects(addModel(await labelsFile(root), withDescription(root, { name: 'x' })), {
      code: 'MODEL_INVALID',
    });
  });
});

describe('checking a model', () => {
  const outcomes = async (folder: string) =>
    Object.fromEntries((await checkModel(folder)).map(({ claim, outcome }) => [claim, outcome]));

  it('passes the bundled model in all points', async () => {
    assert.deepEqual(new Set(Object.values(await outcomes('models/efficientnet-lite0'))), new Set(['pass']));
  });

  it('notes what is no fault: a digest that nobody recorded, and no activation maps', async t => {
    const headless = behindBody(
      [node('Flatten', ['maps'], 'flat'), node('Gemm', ['flat', 'w'], 'scores')],
      [floats('w', [96, CLASSES])],
    );
    const folder = await writeModel(await temporaryFolder(t), { 'onnx/model.onnx': headless });
    const found = await outcomes(folder);
    assert.deepEqual(found, {
      ...{ files: 'pass', digest: 'note', runs: 'pass', scores: 'pass', batches: 'pass', 'activation maps': 'note' },
    });
  });

  it('fails scores that are not finite', async t => {
    const infinite = behindBody(HEAD.nodes, [
      floats('w', [CLASSES, 6]),
      floats('b', [CLASSES], new Array(CLASSES).fill(Number.POSITIVE_INFINITY)),
    ]);
    const folder = await writeModel(await temporaryFolder(t), { 'onnx/model.onnx': infinite });
    assert.equal((await outcomes(folder)).scores, 'fail');
  });

  it('fails a network whose scores depend on the other images of a batch', async t => {
    const centred = behindBody(
      [
        node('GlobalAveragePool', ['maps'], 'pooled'),
        node('Flatten', ['pooled'], 'flat'),
        node('ReduceMean', ['flat'], 'mean', { axes: [0] }),
        node('Sub', ['flat', 'mean'], 'centred'),
        node('Gemm', ['centred', 'w', 'b'], 'scores', { transB: 1 }),
      ],
      HEAD.tensors,
    );
    const folder = await writeModel(await temporaryFolder(t), { 'onnx/model.onnx': centred });
    assert.equal((await outcomes(folder)).batches, 'fail');
  });

  it('names the file that is broken', async t => {
    const root = await temporaryFolder(t);
    const mismatched = await writeModel(join(root, 'a'), {
      'deflector.json': { schema: 'deflector/model@1', name: 'a', sha256: '0'.repeat(64) },
    });
    assert.deepEqual(await outcomes(mismatched), { digest: 'fail' });
    const silent = onnx({
      nodes: [...BODY.nodes, node('Imaginary', ['maps'], 'scores')],
      tensors: [...BODY.tensors],
      inputs: [signature('input', ['N', 3, SIDE, SIDE])],
    });
    const unloadable = await writeModel(join(root, 'b'), { 'onnx/model.onnx': silent });
    assert.deepEqual(await outcomes(unloadable), { files: 'pass', digest: 'note', runs: 'fail' });
  });
});
