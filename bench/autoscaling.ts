/**
 * What the chart's autoscaling makes of traces of arrivals: backlog age, replicas and cost. A simulation, not a measurement;
 * what a pod does in a second is measured (docs/benchmarks.md).
 *
 *     node dist/bench/autoscaling.js [--values FILE] [--svg FOLDER] [--json FILE]
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { figures, plot, row, SCENARIOS, WORLD } from './lib/autoscaling-scenarios.js';
import { type ScalingSettings, simulate } from './lib/autoscaling-simulation.js';
import { benchCommand, runBenchCommand } from './lib/command.js';
import { fromRoot } from './lib/folders.js';
import { table } from './lib/statistics.js';

interface Options {
  readonly values: string;
  readonly price: number;
  readonly svg?: string;
}

async function run({ values, svg, price }: Options): Promise<unknown> {
  const settings = settingsOf(values);
  const results = [];
  for (const scenario of SCENARIOS) {
    const moments = simulate(scenario.trace, settings, { ...WORLD, ...scenario.world });
    results.push(figures(scenario, moments, { ...WORLD, ...scenario.world }));
    if (svg !== undefined) {
      await writeFile(join(svg, `autoscaling-${scenario.name}.svg`), await plot(scenario, moments));
    }
  }
  console.log(
    table([
      [
        '',
        'images',
        'longest wait s',
        '95 % wait s',
        'pods at most',
        'pods on average',
        'pod hours',
        'busy',
        'a million images cost',
      ],
      ...results.map(result => row(result, price)),
    ]),
  );
  return results;
}

/** Those of the stage defend in the values of a chart. */
function settingsOf(path: string): ScalingSettings {
  const { autoscaling, stages } = parse(readFileSync(path, 'utf8'));
  return { ...stages.defend.autoscaling, ...autoscaling };
}

await runBenchCommand(
  benchCommand<Options>('autoscaling', "backlog, pods and cost under the chart's autoscaling, simulated", run)
    .option('--values <file>', 'values of the chart', fromRoot('helm/deflector/values.yaml'))
    .option('--price <number>', 'what a pod costs for an hour', Number, 0.2)
    .option('--svg <folder>', 'write a plot of each trace'),
);
