/**
 * Votes that stop early, against all runs: forward passes per image, and how often the label is the same.
 *
 *     node dist/bench/early-stop.js [--early-stop exact,risk:0.001] [--json FILE] FOLDER...
 *
 * Each folder is a set of its own: clean photographs, images of one attack. Intervals are Wilson's, 95 %.
 */
import { basename, join } from 'node:path';
import { availableCores } from '../src/config/cores.js';
import { wilsonInterval } from '../src/evaluation/statistics.js';
import { atLeast, benchCommand, runBenchCommand } from './lib/command.js';
import { folderOf, fromRoot, imagesOf, withScratch } from './lib/folders.js';
import { measureJob } from './lib/job.js';
import { percent, table } from './lib/statistics.js';

interface Options {
  readonly earlyStop: string;
  readonly recipe: string;
  readonly model: string;
  readonly threads: number;
  readonly seed: string;
  readonly images?: number;
}

interface Row {
  readonly folder: string;
  readonly earlyStop: string;
  readonly images: number;
  readonly passesPerImage: number;
  readonly allPassesPerImage: number;
  readonly sameLabel: number;
  readonly interval: { readonly low: number; readonly high: number };
}

async function measure(options: Options, given: readonly string[]): Promise<unknown> {
  const { model, threads, recipe, seed } = options;
  const settings = options.earlyStop.split(',');
  const folders = given.length > 0 ? given : [fromRoot('samples')];
  return withScratch(async scratch => {
    const rows: Row[] = [];
    for (const [i, folder] of folders.entries()) {
      const files = await imagesOf(folder);
      const images = Math.min(files.length, options.images ?? files.length);
      const part = await folderOf(files, images, join(scratch, String(i)));
      const vote = (earlyStop: string) =>
        measureJob(part, join(scratch, 'out'), { model, threads, recipe, seed, earlyStop, gallery: 0, quiet: true });
      const all = await vote('off');
      for (const earlyStop of settings) {
        const stopped = await vote(earlyStop);
        const same = stopped.verdicts.filter(({ label }, k) => label.index === all.verdicts[k]!.label.index).length;
        rows.push({
          folder: basename(folder),
          earlyStop,
          images,
          passesPerImage: stopped.passes / images,
          allPassesPerImage: all.passes / images,
          sameLabel: same / images,
          interval: wilsonInterval(same, images),
        });
      }
      process.stderr.write(`${folder} done\n`);
    }
    console.log(table([['folder', 'vote', 'images', 'passes/image', 'of', 'same label', '95 %'], ...rows.map(cells)]));
    return rows;
  });
}

function cells(row: Row): string[] {
  return [
    row.folder,
    row.earlyStop,
    String(row.images),
    row.passesPerImage.toFixed(2),
    row.allPassesPerImage.toFixed(2),
    percent(row.sameLabel),
    `${percent(row.interval.low)} to ${percent(row.interval.high)}`,
  ];
}

await runBenchCommand(
  benchCommand<Options>(
    'early-stop',
    'Forward passes per image of votes that stop early, and how often their label is that of all runs.',
    measure,
  )
    .argument('[folder...]', 'folders of images; each is reported by itself (default: samples)')
    .option('--early-stop <list>', 'settings to compare with all runs, with commas', 'exact,risk:0.001')
    .option('--recipe <name>', 'recipe', 'paper')
    .option('--images <n>', 'most images of a folder, spread evenly over it', atLeast(1))
    .option('--seed <text>', 'seed of the runs', '0')
    .option('--model <name>', 'name or folder of the model', 'efficientnet-lite0')
    .option('--threads <n>', 'worker threads', atLeast(1), availableCores()),
);
