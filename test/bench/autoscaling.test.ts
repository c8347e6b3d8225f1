/** The simulation behind the chart's defaults: what must hold of it whatever the trace, and what can be worked out by hand. */
import { strictEqual as equal, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { figures, plot, row, SCENARIOS, WORLD } from '../../bench/lib/autoscaling-scenarios.js';
import { type Moment, type ScalingSettings, simulate, type Trace } from '../../bench/lib/autoscaling-simulation.js';
import { REPOSITORY } from '../helpers/repository.js';

const values = parse(readFileSync(join(REPOSITORY, 'helm/deflector/values.yaml'), 'utf8'));
const SETTINGS: ScalingSettings = { ...values.stages.defend.autoscaling, ...values.autoscaling };

const HOUR = 3600;

function sum(moments: readonly Moment[], value: (moment: Moment) => number): number {
  return moments.reduce((total, moment) => total + value(moment), 0);
}

/** Arrivals for some minutes, then time enough to get done and to go. */
const traces = fc.record({
  busy: fc.integer({ min: 1, max: 1200 }),
  rate: fc.integer({ min: 0, max: 700 }),
  jobs: fc.array(
    fc.record({ second: fc.integer({ min: 0, max: 1200 }), images: fc.integer({ min: 0, max: 100_000 }) }),
    {
      maxLength: 3,
    },
  ),
  losses: fc.array(
    fc.record({ second: fc.integer({ min: 0, max: 2400 }), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    {
      maxLength: 3,
    },
  ),
});

function traceOf({ busy, rate, jobs, losses }: typeof traces extends fc.Arbitrary<infer T> ? T : never): Trace {
  const at = <T extends { readonly second: number }>(list: readonly T[], second: number) =>
    list.filter(entry => entry.second === second);
  return {
    seconds: 3 * HOUR,
    arrivals: second => (second < busy ? rate : 0) + at(jobs, second).reduce((total, { images }) => total + images, 0),
    losses: second => at(losses, second)[0]?.share ?? 0,
  };
}

describe('simulated autoscaling', () => {
  it('defends every chunk once, whatever arrives and whichever pods are lost, and ends with no pod', () => {
    fc.assert(
      fc.property(traces, drawn => {
        const moments = simulate(traceOf(drawn), SETTINGS, WORLD);
        const arrived = sum(moments, moment => moment.arrived);
        equal(
          sum(moments, moment => moment.defended),
          Math.floor(arrived / WORLD.chunk) * WORLD.chunk,
        );
        equal(moments.at(-1)!.pods, 0);
        for (const { pods, ready } of moments) ok(ready <= pods && pods <= SETTINGS.maxReplicas);
      }),
      { numRuns: 30 },
    );
  });

  it('asks for the first pod at the next look, and has it after its start', () => {
    const moments = simulate({ seconds: 600, arrivals: second => (second === 31 ? WORLD.chunk : 0) }, SETTINGS, WORLD);
    // Looks are at multiples of 15 seconds: the one after second 31 is at 45.
    equal(
      moments.findIndex(({ pods }) => pods === 1),
      45,
    );
    equal(
      moments.findIndex(({ defended }) => defended > 0),
      45 + WORLD.startSeconds,
    );
    equal(moments.at(-1)!.chunks, 0);
  });

  it('keeps one pod for what one pod can do', () => {
    const trace: Trace = { seconds: 2 * HOUR, arrivals: () => WORLD.imagesPerSecond / 4 };
    const moments = simulate(trace, SETTINGS, WORLD);
    ok(moments.slice(60).every(({ pods }) => pods === 1));
  });

  it('adds at most four pods, or as many as there are, in 15 seconds', () => {
    const burst: Trace = { seconds: 300, arrivals: second => (second === 0 ? 1e6 : 0) };
    const moments = simulate(burst, { ...SETTINGS, maxReplicas: 100, chunksPerReplica: 1 }, WORLD);
    for (let second = 15; second < moments.length; second++) {
      const before = moments[second - 15]!.pods;
      ok(moments[second]!.pods <= Math.max(before + 4, 2 * before, 1), `second ${second}`);
    }
  });

  it('keeps the oldest chunk of its traces from waiting longer than a start and what the most pods need', () => {
    for (const { name, trace, world } of SCENARIOS.filter(scenario => scenario.name !== 'burst')) {
      const moments = simulate(trace, SETTINGS, { ...WORLD, ...world });
      ok(Math.max(...moments.map(({ age }) => age)) < 1.5 * WORLD.startSeconds, name);
    }
  });

  it('has the figures of docs/kubernetes.md', () => {
    const text = readFileSync(join(REPOSITORY, 'docs/kubernetes.md'), 'utf8');
    for (const scenario of SCENARIOS) {
      const world = { ...WORLD, ...scenario.world };
      const cells = row(figures(scenario, simulate(scenario.trace, SETTINGS, world), world), 0.2);
      ok(text.includes(`| ${cells.join(' | ')} |`), `| ${cells.join(' | ')} |`);
    }
  });

  it('is drawn as an image of its own', async () => {
    const [scenario] = SCENARIOS;
    const svg = await plot(scenario!, simulate(scenario!.trace, SETTINGS, WORLD));
    ok(svg.startsWith('<svg ') && svg.includes('pods') && !svg.includes('NaN'));
  });
});
