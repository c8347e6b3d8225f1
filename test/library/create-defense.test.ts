import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createDefense, type Defense, type DefenseOptions, type FunctionClassifier, type Verdict } from 'deflector';
import { runJob } from '../../pipelines/job.js';
import { comparatorSteps } from '../../src/comparators/order.js';
import { resolveSettings } from '../../src/config/settings.js';
import { PLAIN_RGB } from '../../src/defense/defender.js';
import { NO_DRAWS, toPlanar } from '../../src/defense/order.js';
import { plainDefender } from '../../src/defense/plain/plain.js';
import { runRandom } from '../../src/defense/random.js';
import { readVerdicts } from '../../src/sinks/json-lines-sink.js';
import { formatVerdict, parseVerdict } from '../../src/sinks/verdict-json.js';
import { assertSameImage } from '../helpers/compare.js';
import { collect, temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { linearClassifier } from '../helpers/linear-classifier.js';
import { tinyName, writeTinyImages } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';
import { gradient, noise } from '../images/fixtures.js';

checkLeaks();

async function tinyDefense(t: TestContext, options: DefenseOptions = {}) {
  const folder = await temporaryFolder(t);
  const model = await writeTinyModel(join(folder, 'tiny'));
  const defense = await createDefense({ model, seed: '1', runs: 5, ...options });
  t.after(() => defense.close());
  return { folder, model, defense };
}

/** As it would stand in results.jsonl, without key and durations. */
function essence(verdict: Verdict) {
  const { key: _, ms: __, ...rest } = parseVerdict(formatVerdict(verdict), 'verdict');
  return rest;
}

/** The linear classifier of the helpers, as a caller of the library would write it. */
function asFunction(onCall: (count: number) => void = () => undefined): FunctionClassifier {
  const { preprocessing, labels, classify } = linearClassifier();
  return {
    preprocessing,
    labels: labels.map(({ name }) => name),
    classify: async (input, count) => {
      onCall(count);
      return (await classify(input, count, false)).scores;
    },
  };
}

describe('defend', () => {
  it('gives the verdicts of `deflector run`', async t => {
    const { folder, model, defense } = await tinyDefense(t, { threads: 2 });
    const input = await writeTinyImages(join(folder, 'in'), 12);
    const options = resolveSettings({ flags: { model, seed: '1', runs: 5, threads: 1, gallery: 0 } });
    const out = join(folder, 'out');
    await runJob({ inputs: [input], out, existing: 'refuse', options }, {}, new AbortController().signal);
    const expected = await collect(readVerdicts(join(out, 'results.jsonl')));
    const verdicts = await Promise.all(
      expected.map(async ({ key }) => defense.defend(await readFile(join(input, key)), key)),
    );
    assert.deepEqual(verdicts.map(essence), expected.map(essence));
    assert.deepEqual(
      verdicts.map(({ key }) => key),
      Array.from({ length: 12 }, (_, i) => tinyName(i)),
    );
  });

  it("takes pixels of any size, their digest in the place of the file's", async t => {
    const { defense } = await tinyDefense(t);
    const pixels = gradient(20, 11);
    const digest = createHash('sha256').update('20x11 RGB\n').update(pixels.data).digest('hex');
    const verdict = await defense.defend(pixels);
    assert.deepEqual([verdict.status, verdict.key, verdict.sha256], ['ok', 'image', digest]);
    assert.equal((await defense.defend({ ...pixels, sha256: 'ab'.repeat(32) })).sha256, 'ab'.repeat(32));
  });

  it('gives a bad image a verdict with its code', async t => {
    const { defense } = await tinyDefense(t);
    for (const [bytes, code] of [
      [Buffer.alloc(0), 'IMAGE_EMPTY'],
      [Buffer.from('hello'), 'IMAGE_UNSUPPORTED'],
    ] as const) {
      const verdict = await defense.defend(bytes, 'bad.png');
      assert.equal(verdict.status === 'error' && verdict.error.code, code);
      assert.equal(verdict.key, 'bad.png');
      await assert.rejects(defense.read(bytes), { code });
    }
  });
});

describe('defendPixels', () => {
  it('is the defence: run, seed and content decide, to single precision what the plain one gives', async t => {
    const { defense } = await tinyDefense(t, { map: 'uniform' });
    const pixels = { ...noise(31, 17), sha256: 'cd'.repeat(32) };
    for (const run of [0, 3]) {
      const { planes, image } = await defense.defendPixels(pixels, { run });
      const expected = new Float32Array(3 * 31 * 17);
      const prepared = plainDefender.prepare(pixels, undefined, defense.settings);
      prepared.run(runRandom('1', pixels.sha256, run), expected, 0, PLAIN_RGB);
      assertSameImage(planes, expected, `run ${run}`);
      assert.deepEqual([image.width, image.height, image.data.length], [31, 17, 3 * 31 * 17]);
      assert.deepEqual((await defense.defendPixels(pixels, { run })).planes, planes);
    }
    const [a, b] = [await defense.defendPixels(pixels), await defense.defendPixels(pixels, { run: 1 })];
    assert.notDeepEqual(a.planes, b.planes);
  });

  it('carries out rival defences of its order too, and needs no model where nothing deflects', async t => {
    const { defense } = await tinyDefense(t, { order: ['jpeg', 'median:3'] });
    assert.deepEqual(defense.settings.order, ['jpeg:75', 'median:3']);
    const pixels = noise(31, 17);
    const expected = toPlanar(pixels);
    for (const text of defense.settings.order) comparatorSteps()(text).apply(expected, 31, 17, NO_DRAWS);
    assert.deepEqual((await defense.defendPixels(pixels)).planes, expected);
  });

  it("takes a map of the caller's own: one of ones deflects nothing", async t => {
    const { defense } = await tinyDefense(t, { order: ['deflect'] });
    const pixels = noise(16, 12);
    const map = { width: 16, height: 12, data: new Float32Array(16 * 12).fill(1) };
    assert.deepEqual((await defense.defendPixels(pixels, { map })).image.data, pixels.data);
    assert.notDeepEqual((await defense.defendPixels(pixels)).image.data, pixels.data);
  });

  it('needs no model to be live without a map of it', async t => {
    const { model, defense } = await tinyDefense(t, { map: 'uniform' });
    await rm(model, { recursive: true });
    assert.equal((await defense.defendPixels(noise(4, 4))).planes.length, 48);
  });

  it('refuses what is no image, no map of it and no run', async t => {
    const { defense } = await tinyDefense(t);
    const bad = { code: 'SETTINGS_INVALID' };
    await assert.rejects(defense.defendPixels({ ...noise(4, 4), width: 5 }), bad);
    await assert.rejects(defense.defendPixels({ width: 0, height: 0, data: new Uint8Array(0) }), bad);
    await assert.rejects(defense.defendPixels({ ...noise(4, 4), sha256: 'x' }), bad);
    await assert.rejects(defense.defendPixels(noise(4, 4), { run: -1 }), bad);
    const map = { width: 3, height: 4, data: new Float32Array(12) };
    await assert.rejects(defense.defendPixels(noise(4, 4), { map }), bad);
  });
});

describe('vote', () => {
  it('lets any function vote; images that come together share its batches', async t => {
    const { defense } = await tinyDefense(t, { batch: 4, earlyStop: { kind: 'off' } });
    const counts: number[] = [];
    const classifier = asFunction(count => counts.push(count));
    const images = [noise(8, 8), gradient(30, 20), noise(9, 8)];
    const verdicts = await Promise.all(images.map((image, i) => defense.vote(image, classifier, String(i))));
    assert.deepEqual(
      verdicts.map(({ key, status }) => [key, status]),
      [
        ['0', 'ok'],
        ['1', 'ok'],
        ['2', 'ok'],
      ],
    );
    assert.ok(Math.max(...counts) <= 4);
    assert.ok(counts.length < 18, `${counts.length} calls for 18 passes`);
    const alone = await defense.vote(images[1]!, asFunction());
    assert.deepEqual(essence(alone), essence(verdicts[1]!));
  });

  it('calls the function only what it was called, and needs no model without maps', async t => {
    const { model, defense } = await tinyDefense(t, { map: 'uniform' });
    await rm(model, { recursive: true });
    const named = { ...asFunction(), model: { name: 'mine', sha256: 'ef'.repeat(32) } };
    for (const [classifier, expected] of [
      [asFunction(), { name: 'function', sha256: '0'.repeat(64) }],
      [named, named.model],
    ] as const) {
      const verdict = await defense.vote(noise(8, 8), classifier);
      assert.ok(verdict.status === 'ok');
      assert.deepEqual(verdict.model, expected);
    }
  });

  it('turns what the function does wrong into a verdict', async t => {
    const { defense } = await tinyDefense(t, { map: 'uniform' });
    const vote = async (classify: FunctionClassifier['classify']) => {
      const verdict = await defense.vote(noise(8, 8), { ...asFunction(), classify });
      assert.ok(verdict.status === 'error');
      return verdict.error;
    };
    assert.deepEqual(await vote(() => new Float32Array(4)), {
      code: 'INFERENCE_FAILED',
      message: 'Expected 5 scores for 1 images from the classifier function but received 4 scores',
      retryable: true,
    });
    assert.equal((await vote(() => new Float32Array(5).fill(Number.NaN))).code, 'INFERENCE_FAILED');
    assert.equal((await vote(() => Promise.reject(new Error('out of reach')))).message, 'out of reach');
  });

  it('refuses a classifier that cannot be one', async t => {
    const { defense } = await tinyDefense(t, { map: 'uniform' });
    const bad = { code: 'SETTINGS_INVALID' };
    await assert.rejects(defense.vote(noise(8, 8), { ...asFunction(), labels: [] }), bad);
    await assert.rejects(defense.vote(noise(8, 8), { ...asFunction(), preprocessing: { width: 0, height: 8 } }), bad);
  });
});

describe('a defense', () => {
  it('says its settings, which make it again', async t => {
    const { model, defense } = await tinyDefense(t, { sigma: 0.1 });
    const again = await createDefense({ model, ...defense.settings });
    assert.deepEqual(again.settings, defense.settings);
    assert.equal(defense.settings.sigma, 0.1);
    await again.close();
  });

  it('refuses settings and models that do not exist', async () => {
    await assert.rejects(createDefense({ runs: 0 }), {
      code: 'SETTINGS_INVALID',
      message: 'Expected an integer from 1 to 1000 for runs but received 0',
    });
    await assert.rejects(createDefense({ rnus: 3 } as DefenseOptions), { code: 'SETTINGS_INVALID' });
    await assert.rejects(createDefense({ model: 'nowhere' }), { code: 'MODEL_NOT_FOUND' });
  });

  it('finishes what is in hand when it is closed, then refuses', async t => {
    const { defense } = await tinyDefense(t);
    const inHand = [defense.defend(noise(8, 8)), defense.vote(noise(8, 8), asFunction())];
    await (defense as AsyncDisposable)[Symbol.asyncDispose]();
    for (const verdict of await Promise.all(inHand)) assert.equal(verdict.status, 'ok');
    const calls: ((closed: Defense) => Promise<unknown>)[] = [
      closed => closed.defend(noise(8, 8)),
      closed => closed.vote(noise(8, 8), asFunction()),
      closed => closed.defendPixels(noise(8, 8)),
      closed => closed.read(Buffer.from('x')),
    ];
    for (const call of calls) await assert.rejects(call(defense), { code: 'SETTINGS_INVALID' });
    await defense.close();
  });
});
