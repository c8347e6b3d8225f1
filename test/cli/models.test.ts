import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { deflector, type Outcome } from '../helpers/cli.js';
import { temporaryFolder } from '../helpers/files.js';
import { SMALL_NETWORK, writeModel } from '../models/folders.js';

/** Runs the command line in `root`; added models are those in `root/added`. */
function run(root: string, ...args: readonly string[]): Promise<Outcome> {
  return deflector(args, { cwd: root, env: { DEFLECTOR_MODELS: join(root, 'added') } });
}

describe('deflector models', () => {
  it('lists, adds, shows and checks a model', async t => {
    const root = await temporaryFolder(t);
    await writeModel(join(root, 'my-net'));
    const added = await run(root, 'models', 'add', './my-net');
    assert.equal(added.code, 0, added.stderr);
    assert.match(added.stdout, /^pass {2}files .*\n(.*\n)*Added my-net at /);

    const listed = JSON.parse((await run(root, 'models', 'list', '--json')).stdout) as { models: { name: string }[] };
    assert.deepEqual(
      listed.models.map(model => model.name),
      ['efficientnet-lite0', 'efficientnet-lite0-int8', 'my-net'],
    );
    assert.match((await run(root, 'models', 'list')).stdout, /^my-net +added +\/.*added\/my-net$/m);

    const shown = JSON.parse((await run(root, 'models', 'show', 'my-net', '--json')).stdout);
    assert.deepEqual([shown.name, shown.recorded, shown.activationMaps], ['my-net', true, { possible: true }]);
    assert.match(
      (await run(root, 'models', 'show', './my-net')).stdout,
      /^classes +5: class 0, class 1, class 2 \.\.\.$/m,
    );

    const checked = await run(root, 'models', 'check', 'my-net');
    assert.equal(checked.code, 0);
    assert.match(checked.stdout, /^pass {2}activation maps {2}6 feature maps of 4x4$/m);
  });

  it('ends with exit code 1 where a check fails', async t => {
    const root = await temporaryFolder(t);
    await writeModel(join(root, 'bad'), { 'config.json': { id2label: { 0: 'a', 1: 'b' } } });
    const { code, stdout } = await run(root, 'models', 'check', './bad', '--json');
    assert.equal(code, 1);
    const { passed, checks } = JSON.parse(stdout);
    assert.equal(passed, false);
    assert.match(checks.at(-1).detail, /names 2 classes/);
  });

  it('ends with exit code 2 and names the flags that a bare file needs, since nobody can be asked', async t => {
    const root = await temporaryFolder(t);
    await writeFile(join(root, 'net.onnx'), SMALL_NETWORK);
    const { code, stderr, stdout } = await run(root, 'models', 'add', 'net.onnx');
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /SETTINGS_INVALID.*--labels.*--mean.*--std/);
  });

  it('takes what a bare file does not say from flags', async t => {
    const root = await temporaryFolder(t);
    await writeFile(join(root, 'net.onnx'), SMALL_NETWORK);
    await writeFile(join(root, 'labels.txt'), 'a\nb\nc\nd\ne\n');
    const flags = ['--labels', 'labels.txt', '--mean', '0.5', '--std', '0.1,0.2,0.3', '--fit', 'resize-then-crop'];
    const { code, stderr } = await run(root, 'models', 'add', 'net.onnx', '--name', 'named', ...flags);
    assert.equal(code, 0, stderr);
    const { preprocessing } = JSON.parse((await run(root, 'models', 'show', 'named', '--json')).stdout);
    assert.deepEqual([preprocessing.fit, preprocessing.resizeShortest], ['resize-then-crop', 9]);
    assert.deepEqual(preprocessing.mean, [0.5, 0.5, 0.5]);
    assert.deepEqual(preprocessing.std, [0.1, 0.2, 0.3]);
  });

  for (const [flag, value, message] of [
    ['--mean', '1,2', /three numbers with commas, or one for --mean/],
    ['--std', '0', /numbers above 0 for --std/],
    ['--std', '1,x,1', /for --std/],
    ['--size', '0', /N or WIDTHxHEIGHT in pixels for --size/],
    ['--crop', '1.5', /above 0 and at most 1 for --crop/],
    ['--recipe', 'none', /for --recipe/],
    ['--fit', 'squeeze', /squeeze/],
  ] as const) {
    it(`refuses ${flag} ${value} before any work`, async t => {
      const root = await temporaryFolder(t);
      const { code, stderr } = await run(root, 'models', 'add', 'absent.onnx', flag, value);
      assert.equal(code, 2);
      assert.match(stderr, message);
    });
  }

  it('names the models there are where one is not', async t => {
    const { code, stderr } = await run(await temporaryFolder(t), 'models', 'show', 'nope');
    assert.equal(code, 2);
    assert.match(
      stderr,
      /MODEL_NOT_FOUND: There is no model called "nope"; there are efficientnet-lite0, efficientnet-lite0-int8\n/,
    );
  });
});
