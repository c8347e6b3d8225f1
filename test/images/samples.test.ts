/** Holds samples/README.md and its manifest to what the files are. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeImage } from '../../src/images/decode.js';
import { preprocess } from '../../src/images/preprocess.js';
import { tensorFormat, writeTensor } from '../../src/images/tensor.js';
import { openModel } from '../../src/models/registry.js';
import { openClassifier } from '../../src/models/runtimes.js';
import type { Classifier } from '../../src/types.js';
import { fromRoot } from '../helpers/root.js';

interface Entry {
  readonly file: string;
  readonly photograph: string;
  readonly cleanLabel: number;
  readonly adversarialLabel: number;
}

const folder = fromRoot('samples');
const entries: readonly Entry[] = JSON.parse(readFileSync(join(folder, 'adversarial/manifest.json'), 'utf8'));

describe('the bundled samples', () => {
  let classifier: Classifier;
  before(async () => {
    classifier = await openClassifier(await openModel('efficientnet-lite0'), { runtime: 'auto', threads: 1 });
  });
  after(() => classifier.dispose());

  async function labelOf(file: string): Promise<number> {
    const p = classifier.preprocessing;
    const image = preprocess(await decodeImage(readFileSync(join(folder, file))), p);
    const input = new Float32Array(3 * p.width * p.height);
    writeTensor(image, tensorFormat(p), input, 0);
    const { scores } = await classifier.classify(input, 1, false);
    return scores.indexOf(Math.max(...scores));
  }

  it('are as many files as the manifest and the README name, below 3 MB', () => {
    const listed = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => /\.(jpg|png)$/.test(name));
    const photographs = ['astronaut.jpg', 'chelsea.png', 'coffee.jpg', 'rocket.jpg'];
    const names = listed.map(name => name.replaceAll('\\', '/'));
    assert.deepEqual(names.sort(), [...entries.map(entry => entry.file), ...photographs].sort());
    assert.ok(listed.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0) < 3e6);
  });
  for (const { file, photograph, cleanLabel, adversarialLabel } of entries) {
    it(`${file} changes the label of ${photograph}, as the manifest says`, async () => {
      assert.equal(await labelOf(photograph), cleanLabel);
      assert.equal(await labelOf(file), adversarialLabel);
      assert.notEqual(cleanLabel, adversarialLabel);
    });
  }
  it('reach the model as the attack left them: preprocessing only takes their centre', async () => {
    const image = await decodeImage(readFileSync(join(folder, entries[0]!.file)));
    const fitted = preprocess(image, classifier.preprocessing);
    for (let row = 0; row < 224; row++) {
      const begin = ((row + 16) * 256 + 16) * 3;
      assert.deepEqual(
        Buffer.from(fitted.data.subarray(row * 672, (row + 1) * 672)),
        Buffer.from(image.data.subarray(begin, begin + 672)),
      );
    }
  });
});
