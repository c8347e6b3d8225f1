import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { comparatorSteps } from '../../src/comparators/order.js';
import { type Defender, PLAIN_RGB } from '../../src/defense/defender.js';
import { drawDeflections } from '../../src/defense/deflection.js';
import { createKernelDefender } from '../../src/defense/kernel/kernel-defender.js';
import { NO_DRAWS, toPlanar } from '../../src/defense/order.js';
import { plainDefender } from '../../src/defense/plain/plain.js';
import { runRandom } from '../../src/defense/random.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../../src/defense/settings.js';
import { tensorFormat, writePlanes } from '../../src/images/tensor.js';
import { createLocalizer } from '../../src/models/localizer.js';
import { DefendEngine, type DefendOutcome, toRgbImage, type Wanted } from '../../src/stages/defend.js';
import type { Classifier, ErrorVerdict, FetchedImage, Localizer, OkVerdict, RgbImage } from '../../src/types.js';
import { type LinearOptions, linearClassifier, SIDE, WHITE } from '../helpers/linear-classifier.js';
import { manualClock } from '../helpers/ports.js';

const SETTINGS: DefenceSettings = { ...PAPER_SETTINGS, seed: '1', deflections: 40, window: 4, sigma: 0.1 };

function noisy(index: number, width = SIDE, height = SIDE): FetchedImage {
  const key = `${index}.png`;
  const bytes = (n: number) => createHash('sha256').update(`${key} ${n}`).digest();
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => bytes(i >> 5)[i & 31]!);
  return fetched(index, { width, height, data });
}

function fetched(index: number, pixels: RgbImage): FetchedImage {
  const sha256 = createHash('sha256').update(pixels.data).digest('hex');
  return { index, key: `${index}.png`, sha256, pixels, ms: { fetch: 1, decode: 2 } };
}

/** Counts the images that are prepared and not released. */
function countingDefender(): Defender & { held: number; prepared: number } {
  return {
    held: 0,
    prepared: 0,
    prepare(image, map, settings) {
      const inner = plainDefender.prepare(image, map, settings);
      this.held++;
      this.prepared++;
      let released = false;
      return {
        isRandom: inner.isRandom,
        run: (...args) => {
          assert.ok(!released, 'run after release');
          inner.run(...args);
        },
        release: () => {
          assert.ok(!released, 'released twice');
          released = true;
          this.held--;
          inner.release();
        },
      };
    },
  };
}

interface Setup extends LinearOptions {
  readonly settings?: Partial<DefenceSettings>;
  readonly maximumBatch?: number;
  readonly maximumWait?: number;
  readonly classifier?: Classifier;
  readonly localizer?: Localizer;
  readonly defender?: Defender;
}

function engineOf({ settings, maximumBatch = 8, maximumWait = 0, classifier, localizer, defender, ...linear }: Setup) {
  return new DefendEngine(
    {
      classifier: classifier ?? linearClassifier(linear),
      defender: defender ?? plainDefender,
      localizer,
      clock: manualClock(),
    },
    { settings: { ...SETTINGS, ...settings }, record: { recipe: 'test' }, maximumBatch, maximumWait },
  );
}

function okOf({ verdict }: DefendOutcome): OkVerdict {
  assert.equal(verdict.status, 'ok');
  return verdict as OkVerdict;
}

function errorOf({ verdict }: DefendOutcome): ErrorVerdict {
  assert.equal(verdict.status, 'error');
  return verdict as ErrorVerdict;
}

const defendAll = (setup: Setup, images: readonly FetchedImage[], wanted?: Wanted): Promise<DefendOutcome[]> => {
  const engine = engineOf(setup);
  return Promise.all(images.map(image => engine.defend(image, wanted)));
};

describe('the defend stage', () => {
  it('gives a verdict with its evidence', async () => {
    const [outcome] = await defendAll({ settings: { earlyStop: { kind: 'off' } } }, [noisy(3)]);
    const verdict = okOf(outcome!);
    assert.deepEqual(
      [verdict.key, verdict.sha256, verdict.runs, verdict.runsExecuted, verdict.seed, verdict.defence],
      ['3.png', noisy(3).sha256, 10, 10, '1', { recipe: 'test' }],
    );
    assert.equal(
      verdict.votes.reduce((sum, { count }) => sum + count, 0),
      10,
    );
    assert.equal(verdict.agreement, verdict.votes.find(({ index }) => index === verdict.label.index)!.count / 10);
    assert.equal(verdict.suspicious, verdict.label.index !== verdict.undefended.index);
    assert.deepEqual(verdict.ms, { fetch: 1, decode: 2, defend: 0 });
    assert.equal(outcome!.passes, 11);
  });

  it('never shows the model more images than the maximum, and fills its batches', async () => {
    const counts: number[] = [];
    const setup = {
      settings: { earlyStop: { kind: 'off' } } as const,
      maximumBatch: 4,
      onCall: (count: number) => counts.push(count),
    };
    const images = [0, 1, 2, 3, 4].map(i => noisy(i));
    await defendAll(setup, images);
    assert.ok(Math.max(...counts) <= 4);
    // 5 undefended passes and 50 runs are 55 places; only the second and the last batch can lack images to fill them.
    assert.equal(
      counts.reduce((a, b) => a + b),
      55,
    );
    assert.ok(counts.length <= Math.ceil(55 / 4) + 1, `${counts.length} calls`);
  });

  it('takes images in while others are in hand', async () => {
    const engine = engineOf({ maximumBatch: 2 });
    const first = engine.defend(noisy(0));
    await Promise.resolve();
    const second = engine.defend(noisy(1));
    assert.equal(engine.inFlight, 2);
    const alone = await defendAll({}, [noisy(1)]);
    await first;
    assert.deepEqual((await second).verdict, alone[0]!.verdict);
    assert.equal(engine.inFlight, 0);
    assert.equal((await engine.defend(noisy(0))).verdict.status, 'ok');
  });

  it('waits for company where it is told to, and no longer than that', async () => {
    const counts: number[] = [];
    const engine = engineOf({ maximumBatch: 2, maximumWait: 50, onCall: count => counts.push(count) });
    const first = engine.defend(noisy(0));
    await new Promise(resolve => setImmediate(resolve));
    const second = engine.defend(noisy(1));
    await Promise.all([first, second]);
    assert.equal(counts[0], 2);
    assert.equal((await engine.defend(noisy(2))).verdict.status, 'ok');
  });

  it('gives an image the same verdict whatever its batch size, its company and its place among them', async () => {
    const images = Array.from({ length: 8 }, (_, i) => noisy(i));
    const alone = new Map<string, DefendOutcome>();
    for (const image of images) alone.set(image.key, (await defendAll({ maximumBatch: 1 }, [image]))[0]!);
    const labels = new Set([...alone.values()].map(outcome => okOf(outcome).label.index));
    assert.ok(labels.size > 1, 'the images must differ in their labels for this to say anything');
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(images, { minLength: 1 }),
        fc.integer({ min: 1, max: 12 }),
        async (company, maximumBatch) => {
          const outcomes = await defendAll({ maximumBatch }, company);
          for (const [i, { key }] of company.entries()) assert.deepEqual(outcomes[i], alone.get(key));
        },
      ),
      { numRuns: 30 },
    );
  });

  it('gives by exact early stop the label of all runs, with fewer', async () => {
    const images = Array.from({ length: 24 }, (_, i) => noisy(i));
    let saved = 0;
    for (const vote of ['majority', 'mean'] as const) {
      const all = await defendAll({ settings: { vote, earlyStop: { kind: 'off' } } }, images);
      const early = await defendAll({ settings: { vote } }, images);
      for (const [i, outcome] of early.entries()) {
        assert.equal(okOf(outcome).label.index, okOf(all[i]!).label.index);
        assert.ok(okOf(outcome).runsExecuted <= 10);
        assert.equal(outcome.passes, okOf(outcome).runsExecuted + 1);
        saved += 10 - okOf(outcome).runsExecuted;
      }
    }
    assert.ok(saved > 0);
  });
});

describe('an image that the model fails on', () => {
  const images = [noisy(0), fetched(1, WHITE), noisy(2), noisy(3)];

  for (const [white, message] of [
    ['fails', 'too white'],
    ['nan', 'Model linear gave a score that is not finite'],
  ] as const) {
    it(`(${white}) gets an error verdict, and no other image notices`, async () => {
      const defender = countingDefender();
      const outcomes = await defendAll({ white, maximumBatch: 4, defender }, images);
      assert.deepEqual(errorOf(outcomes[1]!), {
        schema: 'deflector/verdict@1',
        key: '1.png',
        sha256: images[1]!.sha256,
        status: 'error',
        error: { code: 'INFERENCE_FAILED', message, retryable: true },
        ms: { fetch: 1, decode: 2, defend: 0 },
      });
      const without = await defendAll({}, [images[0]!, images[2]!, images[3]!]);
      assert.deepEqual(
        [0, 2, 3].map(i => outcomes[i]!.verdict),
        without.map(({ verdict }) => verdict),
      );
      assert.equal(defender.held, 0);
    });
  }

  it('gets one also where only its runs fail, and gives its memory back', async () => {
    const defender = countingDefender();
    let calls = 0;
    const onCall = () => {
      // The first call is the undefended pass.
      if (++calls > 1) throw new Error('the device is gone');
    };
    const [outcome] = await defendAll({ defender, onCall }, [noisy(0)]);
    const { code, message } = errorOf(outcome!).error;
    assert.deepEqual([code, message], ['INTERNAL', 'the device is gone']);
    assert.deepEqual([defender.prepared, defender.held], [1, 0]);
  });

  it('gets one where the defence itself refuses it', async () => {
    const defender: Defender = {
      prepare: () => {
        throw new RangeError('out of memory');
      },
    };
    const outcomes = await defendAll({ defender }, [noisy(0), noisy(1)]);
    assert.deepEqual(
      outcomes.map(outcome => errorOf(outcome).error.message),
      ['out of memory', 'out of memory'],
    );
  });

  it('gets one where a run of the defence breaks, the others of its batch do not', async () => {
    const counting = countingDefender();
    const defender: Defender = {
      prepare(image, map, settings) {
        const prepared = counting.prepare(image, map, settings);
        if (image !== images[0]!.pixels) return prepared;
        return {
          ...prepared,
          run: () => {
            throw new Error('broken');
          },
        };
      },
    };
    const outcomes = await defendAll({ defender }, [images[0]!, images[2]!]);
    assert.equal(errorOf(outcomes[0]!).error.message, 'broken');
    assert.deepEqual(outcomes[1], (await defendAll({}, [images[2]!]))[0]);
    assert.equal(counting.held, 0);
  });
});

describe('an order with rival defences', () => {
  it('gives the label that the model gives what the rival makes of the image', async () => {
    const defender = await createKernelDefender(comparatorSteps());
    const classifier = linearClassifier();
    for (const text of ['jpeg:20', 'median:3', 'bits:1', 'tv:0.3', 'none']) {
      for (const i of [0, 1, 2, 3]) {
        const image = noisy(i);
        const [verdict] = (await defendAll({ defender, settings: { order: [text] } }, [image])).map(okOf);
        const planes = toPlanar(image.pixels);
        comparatorSteps()(text).apply(planes, SIDE, SIDE, NO_DRAWS);
        const input = new Float32Array(3 * SIDE * SIDE);
        writePlanes(planes, SIDE * SIDE, tensorFormat(classifier.preprocessing), input, 0);
        const { scores } = await classifier.classify(input, 1, false);
        assert.equal(verdict!.label.index, scores.indexOf(Math.max(...scores)), `${text} on image ${i}`);
        if (text === 'none') assert.equal(verdict!.label.index, verdict!.undefended.index);
      }
    }
  });

  it('runs once where no step draws: all runs would be the same', async () => {
    const defender = await createKernelDefender(comparatorSteps());
    const runsOf = async (settings: Partial<DefenceSettings>) =>
      okOf((await defendAll({ defender, settings }, [noisy(1)]))[0]!).runsExecuted;
    assert.equal(await runsOf({ order: ['jpeg:75', 'denoise'] }), 1);
    assert.equal(await runsOf({ order: ['jpeg:75'], earlyStop: { kind: 'risk', probability: 0.01 } }), 1);
    assert.equal(await runsOf({ order: ['deflect'], deflections: 0, vote: 'mean' }), 1);
    assert.equal(await runsOf({ order: ['jpeg:75'], earlyStop: { kind: 'off' } }), 10);
    assert.ok((await runsOf({ order: ['crop:0.4'] })) > 1);
  });

  it('needs no activation map where nothing deflects', async () => {
    assert.throws(() => engineOf({ head: false }), { code: 'MODEL_NO_LOCALIZATION' });
    const defender = await createKernelDefender(comparatorSteps());
    for (const settings of [{ order: ['median:2'] }, { deflections: 0 }, { deflection: 'none' }] as const) {
      okOf((await defendAll({ head: false, defender, settings }, [noisy(2)]))[0]!);
    }
  });

  it('does not depend on batches and on what else is in hand', async () => {
    const settings = { order: ['crop:0.7', 'deflect', 'median:2', 'denoise', 'resizepad:0.9'] };
    const images = [0, 1, 2, 3, 4, 5].map(i => noisy(i));
    const defender = await createKernelDefender(comparatorSteps());
    const alone: DefendOutcome[] = [];
    for (const image of images) alone.push(...(await defendAll({ defender, settings, maximumBatch: 1 }, [image])));
    for (const maximumBatch of [2, 7, 32]) {
      assert.deepEqual(await defendAll({ defender, settings, maximumBatch }, images), alone);
    }
  });

  it('shows the pixels of every step that deflects, whatever was drawn before', async () => {
    const image = noisy(6);
    const defender = await createKernelDefender(comparatorSteps());
    const settings = { order: ['crop:1', 'deflect', 'deflect'], map: 'uniform', deflections: 5 } as const;
    const [{ explanation }] = (await defendAll({ defender, settings }, [image], { explanation: true })) as [
      DefendOutcome,
    ];
    // The crop of the whole image changes nothing but draws two numbers first (src/comparators/crop.ts).
    const random = runRandom('1', image.sha256, 0);
    for (let i = 0; i < 2; i++) random.uniform();
    const drawn = [1, 2].flatMap(() => {
      const list = drawDeflections(SIDE, SIDE, undefined, { ...SETTINGS, ...settings }, random);
      return [...list.targets.subarray(0, list.count)];
    });
    assert.deepEqual(
      [...explanation!.deflected],
      [...new Set(drawn)].sort((a, b) => a - b),
    );
  });
});

describe('what may be wanted beside the verdict', () => {
  const wanted = { defended: true, planes: true, explanation: true };

  it('is run 0, as the defence makes it, and gives the prepared image back', async () => {
    const defender = countingDefender();
    const image = noisy(5);
    const [{ defended, planes, explanation }] = (await defendAll({ defender }, [image], wanted)) as [DefendOutcome];
    const { map, input, deflected } = explanation!;
    const expected = new Float32Array(3 * SIDE * SIDE);
    const prepared = plainDefender.prepare(image.pixels, map, SETTINGS);
    prepared.run(runRandom('1', image.sha256, 0), expected, 0, PLAIN_RGB);
    prepared.release();
    assert.deepEqual(planes, expected);
    assert.deepEqual(defended, toRgbImage(expected, SIDE, SIDE));
    assert.deepEqual(explanation!.defended, defended);
    assert.equal(input, image.pixels);
    assert.deepEqual([map.width, map.height], [SIDE, SIDE]);
    assert.ok(Math.max(...map.data) <= 1);
    assert.ok(deflected.length > 0 && deflected.every((at, i) => i === 0 || at > deflected[i - 1]!));
    assert.equal(defender.held, 0);
  });

  it('shows the pixels that were drawn: without denoising no other pixel changes', async () => {
    const image = noisy(6);
    const settings = { order: ['deflect'] as const };
    const [{ explanation }] = (await defendAll({ settings }, [image], wanted)) as [DefendOutcome];
    const { deflected, defended } = explanation!;
    for (let at = 0; at < SIDE * SIDE; at++) {
      const same = [0, 1, 2].every(c => defended.data[3 * at + c] === image.pixels.data[3 * at + c]);
      assert.ok(same || deflected.includes(at), `pixel ${at} changed`);
    }
    const [denoised] = await defendAll({ settings: { order: ['denoise'] } }, [image], wanted);
    assert.equal(denoised!.explanation!.deflected.length, 0);
  });

  it('changes nothing of the verdict', async () => {
    const [bare] = await defendAll({}, [noisy(7)]);
    const [rich] = await defendAll({}, [noisy(7)], wanted);
    assert.deepEqual(rich!.verdict, bare!.verdict);
    assert.deepEqual(Object.keys(bare!).sort(), ['passes', 'verdict']);
  });

  it('rounds half up and cuts off what lies outside', () => {
    const planes = Float32Array.of(-0.1, 0.5 / 255, 2, 1, 0, 0.999);
    assert.deepEqual(toRgbImage(planes, 2, 1).data, Uint8Array.of(0, 255, 0, 1, 255, 255));
  });
});

describe("the defence at an image's own size", () => {
  it('defends all of its pixels, and shows the model the result at its input size', async () => {
    const settings = { at: 'original' } as const;
    const image = noisy(8, 21, 13);
    const wanted = { explanation: true };
    const [alone, among] = await Promise.all([
      defendAll({ settings }, [image], wanted),
      defendAll({ settings, maximumBatch: 3 }, [noisy(9, 5, 30), image], wanted),
    ]);
    const { explanation, verdict } = alone[0]!;
    assert.equal(verdict.status, 'ok');
    assert.deepEqual([explanation!.defended.width, explanation!.defended.height], [21, 13]);
    assert.deepEqual([explanation!.map.width, explanation!.map.height], [21, 13]);
    assert.deepEqual(among[1], alone[0]);
  });

  it('works for the thinnest of images', async () => {
    const settings = { at: 'original' } as const;
    for (const image of [noisy(1, 1, 1), noisy(2, 1, 90), noisy(3, 90, 1)]) {
      okOf((await defendAll({ settings }, [image]))[0]!);
    }
  });
});

describe('the activation map', () => {
  it('comes from the localiser where there is one, and then not from the classifier', async () => {
    const asked: boolean[] = [];
    const located: boolean[] = [];
    const localizer = createLocalizer(
      linearClassifier({ name: 'localiser', onCall: (_, features) => located.push(features) }),
    );
    const setup = { localizer, head: false, onCall: (_: number, features: boolean) => asked.push(features) };
    const [outcome] = await defendAll(setup, [noisy(0)], { explanation: true });
    assert.deepEqual(located, [true]);
    assert.ok(asked.every(features => !features));
    // The localiser is the same network here, so the map is the one that the classifier would have given.
    const [own] = await defendAll({}, [noisy(0)], { explanation: true });
    assert.deepEqual(outcome, own);
  });

  it('is not needed for uniform deflection: any classifier will do', async () => {
    const features: boolean[] = [];
    const setup = {
      settings: { map: 'uniform' } as const,
      head: false,
      onCall: (_: number, asked: boolean) => features.push(asked),
    };
    const [outcome] = await defendAll(setup, [noisy(0)], { explanation: true });
    okOf(outcome!);
    assert.ok(features.every(asked => !asked));
    assert.ok(outcome!.explanation!.map.data.every(value => value === 0));
  });

  it('that nothing here can make is refused before any image', () => {
    assert.throws(() => engineOf({ head: false }), { code: 'MODEL_NO_LOCALIZATION' });
  });
});
