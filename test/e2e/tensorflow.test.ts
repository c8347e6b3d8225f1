/** A second family of models from end to end: a TensorFlow.js network from npm whose classes are not ImageNet's. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { OkVerdict } from '../../src/types.js';
import { deflector } from '../helpers/cli.js';
import { checkLeaks } from '../helpers/leaks.js';
import { fromRoot } from '../helpers/root.js';
import { tensorflowFolder, writeNsfwModel } from '../helpers/tensorflow.js';

checkLeaks();

const PHOTOS = ['astronaut.jpg', 'chelsea.png', 'coffee.jpg', 'rocket.jpg'];
const env = () => ({ DEFLECTOR_TENSORFLOW: tensorflowFolder(), DEFLECTOR_MODELS: join(folder, 'models') });

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deflector-test-'));
  for (const variant of ['mobilenet_v2', 'mobilenet_v2_mid'] as const) {
    const added = await deflector(['models', 'add', writeNsfwModel(join(folder, variant), variant)], { env: env() });
    assert.equal(added.code, 0, added.stderr);
    assert.match(added.stdout, /^pass {2}runs +on tfjs-node$/m);
  }
});
after(() => rm(folder, { recursive: true, force: true }));

async function run(out: string, ...args: string[]): Promise<OkVerdict[]> {
  const photos = PHOTOS.map(name => fromRoot(`samples/${name}`));
  const common = ['--seed', '1', '--runs', '4', '--gallery', '0', '--quiet'];
  const { code, stderr } = await deflector(['run', ...photos, '--out', join(folder, out), ...common, ...args], {
    env: env(),
  });
  assert.equal(code, 0, stderr);
  const lines = (await readFile(join(folder, out, 'results.jsonl'), 'utf8')).trimEnd().split('\n');
  return lines.map(line => JSON.parse(line));
}

const timeless = (verdicts: OkVerdict[]) => verdicts.map(({ ms: _, ...rest }) => rest);

describe('a moderation network of TensorFlow.js', () => {
  it('votes on photographs by activation maps of its own, in its own classes', async () => {
    const verdicts = await run('graph', '--model', 'mobilenet_v2_mid', '--runtime', 'tfjs-node');
    assert.equal(verdicts.length, PHOTOS.length);
    for (const verdict of verdicts) {
      assert.equal(verdict.status, 'ok');
      assert.equal(verdict.model.name, 'mobilenet_v2_mid');
      assert.equal(
        verdict.votes.reduce((sum, { count }) => sum + count, 0),
        verdict.runsExecuted,
      );
      // Photographs of a cat, a cup, a rocket and a portrait: nothing that a moderator would look for.
      assert.ok(['Neutral', 'Drawing'].includes(verdict.label.name), `${verdict.key}: ${verdict.label.name}`);
    }
    const summary = JSON.parse(await readFile(join(folder, 'graph/run.json'), 'utf8'));
    assert.equal(summary.runtime, 'tfjs-node');
  });

  it('says the same, byte for byte, with another number of threads and another batch', async () => {
    const model = ['--model', 'mobilenet_v2_mid', '--runtime', 'tfjs-node'];
    assert.deepEqual(
      timeless(await run('one', ...model, '--threads', '1', '--batch', '1')),
      timeless(await run('two', ...model, '--threads', '2', '--batch', '8')),
    );
  });

  it('runs on WASM, with the same labels', async () => {
    const labels = (verdicts: OkVerdict[]) => verdicts.map(({ label }) => label.name);
    const wasm = await run('wasm', '--model', 'mobilenet_v2_mid', '--runtime', 'tfjs-wasm', '--runs', '2');
    assert.deepEqual(labels(wasm), labels(await run('native', '--model', 'mobilenet_v2_mid', '--runs', '2')));
  });

  it('has the map of a localiser where its own head is no linear layer, and says so where there is none', async () => {
    const photo = fromRoot('samples/chelsea.png');
    const args = ['run', photo, '--out', join(folder, 'none'), '--model', 'mobilenet_v2', '--quiet'];
    const { code, stderr } = await deflector(args, { env: env() });
    assert.equal(code, 2);
    assert.match(stderr, /MODEL_NO_LOCALIZATION.*reads a layer Dense/s);
    const verdicts = await run('layers', '--model', 'mobilenet_v2', '--localizer', 'mobilenet_v2_mid');
    assert.ok(verdicts.every(({ label }) => ['Neutral', 'Drawing'].includes(label.name)));
  });
});
