/**
 * What starting costs: `deflector --help` beside `node -e 0`, and `deflector run` on one image.
 *
 *     node dist/bench/startup.js [--rounds N] [--json FILE]
 *
 * Each round starts each of them once, one right after the other; ratios are medians over the rounds.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { atLeast, benchCommand, runBenchCommand } from './lib/command.js';
import { CLI, fromRoot, imagesOf, withScratch } from './lib/folders.js';
import { median, medianRatio, table } from './lib/statistics.js';

interface Options {
  readonly rounds: number;
}

/** Milliseconds of one process from start to end. @throws Error where it fails */
function started(args: readonly string[]): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const ms = performance.now() - start;
  if (status !== 0) throw new Error(`node ${args.join(' ')} failed: ${stderr}`);
  return ms;
}

async function measure({ rounds }: Options): Promise<unknown> {
  const [image] = await imagesOf(fromRoot('samples'));
  return withScratch(async scratch => {
    const commands: readonly (readonly [string, readonly string[]])[] = [
      ['node -e 0', ['-e', '0']],
      ['deflector --version', [CLI, '--version']],
      ['deflector --help', [CLI, '--help']],
      ['deflector run, one image', [CLI, 'run', image!, '--out', join(scratch, 'out'), '--overwrite', '--quiet']],
    ];
    const times = commands.map((): number[] => []);
    // The first round fills the caches of the file system.
    for (let round = -1; round < rounds; round++) {
      for (const [i, [, args]] of commands.entries()) {
        const ms = started(args);
        if (round >= 0) times[i]!.push(ms);
      }
    }
    const rows = commands.map(([name], i) => ({
      name,
      ms: median(times[i]!),
      least: Math.min(...times[i]!),
      timesNode: medianRatio(times[i]!, times[0]!),
    }));
    console.log(
      table([
        ['', 'median ms', 'least ms', 'times node -e 0'],
        ...rows.map(row => [row.name, row.ms.toFixed(0), row.least.toFixed(0), row.timesNode.toFixed(2)]),
      ]),
    );
    return rows;
  });
}

await runBenchCommand(
  benchCommand<Options>(
    'startup',
    'What starting costs: --help beside node -e 0, and run on one image.',
    measure,
  ).option('--rounds <n>', 'times that each is started', atLeast(1), 15),
);
