/** The ladder on a model of 8x8 pixels, whose labels small changes turn. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { resolveOptions, type UserOptions } from '../../../src/config/settings.js';
import {
  LADDER_BUDGET,
  type LadderImage,
  type LadderRequest,
  runLadder,
} from '../../../src/evaluation/ladder/ladder.js';
import type { LadderResult } from '../../../src/evaluation/ladder/ladder-result.js';
import { RUNGS } from '../../../src/evaluation/ladder/rungs.js';
import { wilsonInterval } from '../../../src/evaluation/statistics.js';
import { tensorFormat, writeTensor } from '../../../src/images/tensor.js';
import { openModel } from '../../../src/models/registry.js';
import { openClassifier } from '../../../src/models/runtimes.js';
import type { RgbImage } from '../../../src/types.js';
import { writeTinyModel } from '../../helpers/tiny-model.js';

const SIDE = 8;

function photo(seed: number): RgbImage {
  const data = Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, i) => 128 + 90 * Math.sin(i * 0.37 + seed * 1.7));
  return { width: SIDE, height: SIDE, data };
}

const defence = (options: UserOptions) => resolveOptions({ seed: 'votes', ...options }).defence;

describe('the ladder', () => {
  let folder: string;
  let base: LadderRequest;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deflector-ladder-'));
    const model = await openModel(await writeTinyModel(join(folder, 'model')));
    const classifier = await openClassifier(model);
    const images: LadderImage[] = [];
    for (let n = 0; n < 6; n++) {
      const pixels = photo(n);
      const input = new Float32Array(pixels.data.length);
      writeTensor(pixels, tensorFormat(model.preprocessing), input, 0);
      const { scores } = await classifier.classify(input, 1, false);
      const top = scores.indexOf(Math.max(...scores));
      // The last image counts as one that the model gets wrong.
      images.push({ key: `${n}.png`, pixels, label: n === 5 ? (top + 1) % scores.length : top });
    }
    await classifier.dispose();
    base = {
      model: join(folder, 'model'),
      runtime: 'auto',
      defences: [{ name: 'paper', settings: defence({ deflections: 4, window: 2, levels: 1 }) }],
      images,
      surrogate: await writeTinyModel(join(folder, 'surrogate'), 2),
      budget: { ...LADDER_BUDGET, epsilon: 16 / 255, steps: 12, queries: 60 },
      seed: 'attacker',
      threads: 1,
    };
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('gives a row for every rung, over the images that the model gets right when clean', async () => {
    const results: LadderResult[] = [];
    const rows = await runLadder(base, { result: result => results.push(result) });
    const wanted = RUNGS.map(({ id }) => id);
    assert.deepEqual(
      rows.map(row => row.attack),
      wanted,
    );
    for (const row of rows) {
      assert.equal(row.n, 5);
      const right = results.filter(
        ({ attack, clean, label, defended }) => attack === row.attack && clean === label && defended === label,
      );
      assert.equal(row.correctDefended, right.length);
      assert.deepEqual(row.interval, wilsonInterval(right.length, 5));
    }
    const clean = rows[0]!;
    assert.equal(clean.attack, 'clean');
    assert.equal(clean.correctUndefended, 5);
    for (const { attack, linf } of results) {
      if (attack !== 'hopskipjump') assert.ok(linf <= 16 / 255 + 1e-6, `${attack}: ${linf}`);
    }
  });

  it('goes on where it was left, with the same rows on any number of threads', async () => {
    const request = { ...base, store: join(folder, 'store') };
    const stop = new AbortController();
    let seen = 0;
    await runLadder(request, { result: () => ++seen === 7 && stop.abort() }, stop.signal);
    assert.ok(seen >= 7 && seen < 6 * RUNGS.length);
    const rows = await runLadder({ ...request, threads: 2 });
    assert.deepEqual(rows, await runLadder(base));
    const sizes = () => bytesIn(request.store);
    const before = await sizes();
    assert.ok(before > 0);
    assert.deepEqual(await runLadder(request), rows);
    assert.equal(await sizes(), before, 'nothing was left to attack');
  });

  it('attacks once where numbers of draws make no difference', async () => {
    const order = 'median:2';
    const rungs = new Set(['bpda', 'bpda-eot-1', 'bpda-eot-10', 'bpda-eot-20', 'bpda-eot-40']);
    const store = join(folder, 'median');
    const rows = await runLadder({ ...base, store, defences: [{ name: order, settings: defence({ order }), rungs }] });
    assert.deepEqual(
      rows.map(({ attack }) => attack),
      [...rungs],
    );
    assert.equal(new Set(rows.map(({ correctDefended, gradients }) => `${correctDefended} ${gradients}`)).size, 1);
    assert.equal((await readdir(store)).length, 1);
  });

  it('refuses an image of another size and an unknown rung', async () => {
    const [image] = base.images;
    const small = { ...image!, pixels: { width: 4, height: 4, data: new Uint8Array(48) } };
    await assert.rejects(runLadder({ ...base, images: [small] }), { code: 'SETTINGS_INVALID' });
    const defences = [{ ...base.defences[0]!, rungs: new Set(['eleventh']) }];
    await assert.rejects(runLadder({ ...base, defences }), { code: 'SETTINGS_INVALID' });
  });
});

async function bytesIn(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map(async name => (await stat(join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
