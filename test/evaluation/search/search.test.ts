/** The parts of a search that choose: rounds, candidates, scores. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RECIPE_NAMES } from '../../../src/config/recipes.js';
import { resolveOptions } from '../../../src/config/settings.js';
import type { AttackCase } from '../../../src/evaluation/attack-case.js';
import type { DefenceCase } from '../../../src/evaluation/defence-case.js';
import type { Demand } from '../../../src/evaluation/protocol.js';
import type { Case } from '../../../src/evaluation/rates.js';
import type { Sample } from '../../../src/evaluation/sample.js';
import { type MeasuredCases, type SearchPlan, searchRecipe } from '../../../src/evaluation/search/recipe-search.js';
import { scoreOf, standingOf } from '../../../src/evaluation/search/score.js';
import { drawCandidates } from '../../../src/evaluation/search/space.js';
import { best, roundsOf } from '../../../src/evaluation/search/successive-halving.js';

/** One image: its truth is 0, the attack made it 1. */
function outcome(voted: number, attacked = 1): Case {
  return {
    measurement: { label: 0, clean: 0, attacked },
    outcome: { voted, first: voted, probabilityAttacked: voted },
  } as Case;
}

const cases = (right: number, of: number, attacked = 1): Case[] =>
  Array.from({ length: of }, (_, i) => outcome(i < right ? 0 : 1, attacked));

describe('successive halving', () => {
  it('tries a third of the candidates on three times the images, down to two, up to all images', () => {
    assert.deepEqual(roundsOf(36, 100, 10), [
      { candidates: 36, images: 10 },
      { candidates: 12, images: 30 },
      { candidates: 4, images: 90 },
      { candidates: 2, images: 100 },
    ]);
    assert.deepEqual(roundsOf(1, 5, 12), [{ candidates: 1, images: 5 }]);
  });

  it('ends on all images, never with more candidates than before', () => {
    const size = fc.integer({ min: 1, max: 2000 });
    fc.assert(
      fc.property(size, size, size, (candidates, images, least) => {
        const rounds = roundsOf(candidates, images, least);
        assert.equal(rounds[0]!.candidates, candidates);
        assert.equal(rounds.at(-1)!.images, images);
        for (const [n, round] of rounds.slice(1).entries()) {
          assert.ok(round.candidates >= 1 && round.candidates <= rounds[n]!.candidates);
          assert.ok(round.images > rounds[n]!.images);
        }
      }),
    );
  });

  it('keeps the first of equals', () => {
    assert.deepEqual(
      best(['aa', 'b', 'cc', 'dd'], 2, text => text.length),
      ['aa', 'cc'],
    );
  });
});

describe('candidates', () => {
  it('are all named recipes and then draws, the same for the same seed, no two alike, all of them valid', () => {
    const drawn = drawCandidates(200, 'seed');
    assert.deepEqual(
      drawn.map(({ id }) => id),
      drawCandidates(200, 'seed').map(({ id }) => id),
    );
    assert.equal(new Set(drawn.map(({ id }) => id)).size, 200);
    assert.deepEqual(
      drawn.slice(0, RECIPE_NAMES.length).map(({ origin }) => origin),
      RECIPE_NAMES,
    );
    for (const { settings } of drawn) {
      const { defence } = resolveOptions({ ...settings, seed: 's' });
      assert.deepEqual({ ...defence, seed: '', vote: '', trust: 0 }, { ...settings, seed: '', vote: '', trust: 0 });
    }
    assert.notDeepEqual(drawCandidates(9, 'other').at(-1), drawCandidates(9, 'seed').at(-1));
  });
});

describe('the score of a candidate', () => {
  it('is the mean over the attacks of the share of fooled images that are put right', () => {
    // Two of the six images of the second attack were never fooled, and do not count.
    const attacked = { a: cases(1, 4), b: [...cases(3, 4), ...cases(2, 2, 0)] };
    const standing = standingOf(cases(19, 20), attacked);
    assert.deepEqual(
      Object.values(standing.attacks).map(({ correct, n }) => [correct, n]),
      [
        [1, 4],
        [3, 4],
      ],
    );
    assert.equal(standing.mean, 0.5);
    assert.equal(scoreOf(standing, 0.08), 0.5);
  });

  it('comes with an interval over photographs: two attacks on the same ones say no more than one of them', () => {
    const once = standingOf(cases(9, 10), { a: cases(12, 40) });
    const twice = standingOf(cases(9, 10), { a: cases(12, 40), b: cases(12, 40) });
    assert.deepEqual(once.interval, twice.interval);
    // Of a mean the jackknife is the textbook: p (1 - p) / (n - 1).
    const spread = 1.959963984540054 * Math.sqrt((0.3 * 0.7) / 39);
    assert.ok(Math.abs(once.interval.low - (0.3 - spread)) < 1e-12);
    assert.ok(Math.abs(once.interval.high - (0.3 + spread)) < 1e-12);
  });

  it('is below 0 by what is missing to the cap on clean labels', () => {
    const standing = standingOf(cases(18, 20), { a: cases(2, 4) });
    assert.ok(Math.abs(scoreOf(standing, 0.05) + 0.05) < 1e-12);
    assert.equal(scoreOf(standing, 0.1), 0.5);
  });
});

/** A world in which more deflections put more right, and trust keeps clean labels: what is measured follows a formula. */
class World {
  readonly demanded: Demand[] = [];

  async measure(demands: readonly Demand[]): Promise<MeasuredCases> {
    this.demanded.push(...demands);
    const cases = ({ images }: Sample, attack: AttackCase, { settings }: DefenceCase): Case[] =>
      Array.from({ length: images }, (_, i) => {
        const strength = Math.min(1, settings.deflections / 8000) * 0.8;
        const chance =
          attack.attack === undefined ? 1 - 0.3 * strength + 0.2 * settings.trust : strength - 0.1 * settings.trust;
        return outcome((i + 0.5) / images < chance ? 0 : 1, attack.attack === undefined ? 0 : 1);
      });
    return { cases };
  }
}

describe('a search', () => {
  const plan: SearchPlan = { candidates: 12, images: 60, testImages: 50, maxCleanLoss: 0.08, curves: true, seed: '1' };

  it('finds what the cap allows, on the search split alone, and reports it on the test split', async () => {
    const world = new World();
    const result = await searchRecipe(plan, demands => world.measure(demands));
    assert.ok(result !== undefined);
    const { winner, test, entries, curves } = result;
    assert.ok((winner.standing.clean.rate ?? 0) >= 0.92, 'the cap was broken where it need not be');
    assert.ok(winner.recipe.deflections >= 4000, `${winner.recipe.deflections}`);
    assert.ok(
      winner.score >=
        Math.max(...[...entries, ...curves].filter(({ images }) => images === 60).map(({ score }) => score)),
    );
    assert.deepEqual(test[0]!.recipe, winner.recipe);
    assert.equal(test[1]!.id, 'paper');
    assert.ok(test[1]!.against!.fooled.p < 1e-6);
    assert.deepEqual([test[0]!.detector!.clean, test[0]!.detector!.attacked], [50, 6 * 50]);
    const reporting = world.demanded.filter(({ sample }) => sample.split === 'test');
    assert.deepEqual(
      reporting.flatMap(({ defences }) => defences.map(({ id }) => id)),
      [...test, ...test].map(({ id }) => id),
    );
  });

  it('ends where it is asked to stop', async () => {
    assert.equal(await searchRecipe(plan, async () => undefined), undefined);
  });
});
