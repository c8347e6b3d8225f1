import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nextRuns } from '../../src/defense/early-stop.js';
import { runRandom } from '../../src/defense/random.js';
import { softmax } from '../../src/defense/softmax.js';
import { type VoteSettings, VoteTally } from '../../src/defense/vote.js';
import { flipProbability, sumRisk, VoteRisk } from '../../src/defense/vote-risk.js';

const RUNS = 10;
const MAJORITY: VoteSettings = { vote: 'majority', trust: 0, runs: RUNS };

/** Random numbers of one test, the same in every run of it. */
class Draws {
  readonly #source;

  constructor(seed: string) {
    this.#source = runRandom(seed, '0'.repeat(64), 0);
  }

  uniform(): number {
    return this.#source.uniform();
  }

  /** Standard normal (Box and Muller 1958). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Chi-squared with a whole number of degrees of freedom. */
  chiSquared(freedom: number): number {
    return Array.from({ length: freedom }, () => this.normal() ** 2).reduce((a, b) => a + b, 0);
  }
}

/** With half of all runs against it a label may lose. */
function flipOf(executed: number, votes: number, ratio: number, freedom: number): number {
  return flipProbability(RUNS - executed, executed, RUNS / 2 - (executed - votes), ratio, freedom);
}

describe('the probability that the runs to come take the lead', () => {
  it('is that of the model it states, by simulation', () => {
    const draws = new Draws('flip');
    const trials = 40_000;
    for (const [executed, votes, ratio, freedom] of [
      [1, 1, 0.5, 6],
      [1, 1, 2, 3],
      [2, 2, 1, 7],
      [3, 2, 0.4, 8],
      [5, 5, 0.3, 10],
    ] as const) {
      let flips = 0;
      for (let trial = 0; trial < trials; trial++) {
        // Measured mean margin: ratio; measured deviation: 1. The truth behind them, by the model:
        const deviation = 1 / Math.sqrt(draws.chiSquared(freedom) / freedom);
        const mean = ratio + (deviation * draws.normal()) / Math.sqrt(executed);
        let against = executed - votes;
        for (let run = executed; run < RUNS; run++) if (mean + deviation * draws.normal() < 0) against++;
        if (against >= RUNS / 2) flips++;
      }
      const stated = flipOf(executed, votes, ratio, freedom);
      const error = Math.sqrt((stated * (1 - stated)) / trials);
      const found = flips / trials;
      assert.ok(
        Math.abs(found - stated) < 4 * error + 1e-3,
        `${executed} runs, ratio ${ratio}: ${found} for ${stated}`,
      );
    }
  });

  it('is that of the model for a sum of margins too', () => {
    const draws = new Draws('sum');
    const trials = 40_000;
    for (const [executed, mean, advance, freedom] of [
      [1, 0.7, 0, 4],
      [2, 0.5, 2, 7],
      [6, 0.4, -2, 9],
    ] as const) {
      let lost = 0;
      for (let trial = 0; trial < trials; trial++) {
        const deviation = 1 / Math.sqrt(draws.chiSquared(freedom) / freedom);
        const truth = mean + (deviation * draws.normal()) / Math.sqrt(executed);
        let sum = executed * mean + advance;
        for (let run = executed; run < RUNS; run++) sum += truth + deviation * draws.normal();
        if (sum <= 0) lost++;
      }
      const stated = sumRisk(executed * mean + advance, RUNS - executed, executed, mean, 1, freedom);
      const error = Math.sqrt((stated * (1 - stated)) / trials);
      assert.ok(
        Math.abs(lost / trials - stated) < 4 * error + 1e-3,
        `${executed} runs: ${lost / trials} for ${stated}`,
      );
    }
    assert.equal(sumRisk(1, 4, 6, 0.2, 0, 9), 0);
    assert.equal(sumRisk(-1, 4, 6, 0.2, 0, 9), 1);
  });

  it('falls with the margin, and with the runs that confirmed it', () => {
    const ratios = [0.1, 0.5, 1, 2, 4, 8, 16, 64];
    const values = ratios.map(ratio => flipOf(2, 2, ratio, 7));
    values.slice(1).forEach((value, i) => {
      assert.ok(value < values[i]!, `${values}`);
    });
    assert.ok(flipOf(4, 4, 1, 9) < flipOf(2, 2, 1, 7));
  });

  it('is certain where nothing is left to win, and where all is lost', () => {
    assert.equal(flipOf(6, 6, 1, 5), 0);
    assert.equal(flipOf(5, 0, 1, 5), 1);
  });
});

/** One simulated image: logits of the undefended image and of all runs. */
interface Simulated {
  readonly undefended: Float32Array;
  readonly runs: readonly Float32Array[];
  readonly displacement: number;
}

/**
 * An image after the model of the rule: `classes` classes whose logits scatter between runs, a leader whose true margin
 * is uniform on [-4, 4] spreads, and a defence that moved the logits `moved` times as far as runs differ.
 */
function simulate(draws: Draws, classes: number, moved: number, noise: (draws: Draws) => number): Simulated {
  const spread = 0.02 + draws.uniform();
  const margin = (8 * draws.uniform() - 4) * spread;
  const base = Float32Array.from({ length: classes }, () => -20 + spread * draws.normal());
  base[0] = margin;
  base[1] = 0;
  const scatter = () => Float32Array.from(base, value => value + spread * noise(draws));
  return {
    undefended: base.map(value => value + moved * spread * draws.normal()),
    runs: Array.from({ length: RUNS }, scatter),
    displacement: 1 / moved,
  };
}

function label(
  image: Simulated,
  probability: number,
  settings: VoteSettings,
): { label: number; executed: number; full: number } {
  const classes = image.undefended.length;
  const undefended = image.undefended.indexOf(Math.max(...image.undefended));
  const tally = new VoteTally(settings, classes, undefended);
  const risk = new VoteRisk(settings, image.undefended, image.displacement);
  const execute = () => {
    const logits = image.runs[tally.runs]!;
    tally.add(softmax(logits, 0, classes));
    risk.add(logits);
  };
  execute();
  while (nextRuns(tally, RUNS, { kind: 'risk', probability }, risk) > 0) execute();
  const all = new VoteTally(settings, classes, undefended);
  for (const logits of image.runs) all.add(softmax(logits, 0, classes));
  return { label: tally.winner(), executed: tally.runs, full: all.winner() };
}

describe('a vote that stops on a risk', () => {
  const images = 3000;
  const normal = (draws: Draws) => draws.normal();
  // Student's t with 3 degrees of freedom over its standard deviation: rare runs far from the others.
  const heavy = (draws: Draws) => draws.normal() / Math.sqrt(draws.chiSquared(3) / 3) / Math.sqrt(3);
  // A defence that moves logits further than its runs differ; and geometry, which moves runs as far from each other.
  for (const [name, noise, settings, moved, sizes] of [
    ['normal scatter', normal, MAJORITY, 8, [2, 10, 200]],
    ['heavy tails', heavy, MAJORITY, 8, [2, 10, 200]],
    ['a head start', normal, { ...MAJORITY, trust: 0.2 }, 8, [10]],
    ['runs as far apart as from the image', normal, MAJORITY, 1, [10]],
    ['pooled', normal, { ...MAJORITY, vote: 'pool' }, 8, [10]],
    ['pooled, a head start, heavy tails', heavy, { ...MAJORITY, vote: 'pool', trust: 0.5 }, 1, [10]],
  ] as const) {
    for (const classes of sizes) {
      for (const probability of [0.05, 0.01]) {
        it(`differs from all runs with at most the stated probability: ${name}, ${classes} classes, ${probability}`, () => {
          const draws = new Draws(`${name} ${classes} ${probability}`);
          let wrong = 0;
          let executed = 0;
          for (let i = 0; i < images; i++) {
            const result = label(simulate(draws, classes, moved, noise), probability, settings);
            if (result.label !== result.full) wrong++;
            executed += result.executed;
          }
          const allowance = 3 * Math.sqrt((probability * (1 - probability)) / images);
          assert.ok(wrong / images <= probability + allowance, `${wrong} of ${images} differ`);
          assert.ok(executed / images < RUNS, 'it never stopped early');
        });
      }
    }
  }

  it('stops after one run where the margin dwarfs what runs can differ', () => {
    const undefended = Float32Array.of(5, 0, 0.3, -1);
    const risk = new VoteRisk(MAJORITY, undefended, 0.05);
    risk.add(Float32Array.of(5.1, 0.1, 0.2, -1.1));
    assert.ok(risk.of(0, 1) < 0.001);
  });

  it('is sure of runs that do not differ at all', () => {
    const logits = Float32Array.of(1, 0.5, 0);
    const risk = new VoteRisk(MAJORITY, logits, 0);
    risk.add(logits);
    assert.equal(risk.of(0, 1), 0);
  });

  it('trusts no margin that is not there', () => {
    const risk = new VoteRisk(MAJORITY, Float32Array.of(1, 0, 0), 0.1);
    risk.add(Float32Array.of(0.5, 0.5, 0));
    assert.equal(risk.of(0, 1), 1);
  });
});
