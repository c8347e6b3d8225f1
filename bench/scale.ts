/**
 * Cost per image and peak memory of `deflector run` as jobs grow.
 *
 *     node dist/bench/scale.js [--sizes 100,1000,10000] [--model tiny] [--json FILE]
 *
 * Each job runs in a process of its own, on generated photographs, with one run an image and no activation map. Smaller
 * jobs are run before and after the largest, so that a machine that gets slower does not look like a cost of size.
 * `--model tiny` puts a network in place that costs next to nothing: what is left is the pipeline's own cost.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runJob } from '../pipelines/job.js';
import { availableCores } from '../src/config/cores.js';
import { resolveSettings } from '../src/config/settings.js';
import { atLeast, benchCommand, runBenchCommand } from './lib/command.js';
import { folderOf, withScratch } from './lib/folders.js';
import { makePhotographs } from './lib/photographs.js';
import { median, percent, table } from './lib/statistics.js';
import { writeTinyModel } from './lib/tiny-model.js';

interface Options {
  readonly sizes: string;
  readonly model: string;
  readonly threads: number;
}

interface Measured {
  /** From the moment that the model is live until the last verdict is on the disk. */
  readonly seconds: number;
  /** From there until the report is written. */
  readonly reportSeconds: number;
  /** Of all that. */
  readonly cpuSeconds: number;
  /** Most memory that the process had resident, in MiB. */
  readonly peakMiB: number;
}

async function measure({ sizes: list, model, threads }: Options): Promise<unknown> {
  const sizes = list.split(',').map(atLeast(1));
  const order = [...sizes, ...sizes.slice(0, -1).reverse()];
  return withScratch(async scratch => {
    const photographs = await makePhotographs(join(scratch, 'photographs'));
    const folder = model === 'tiny' ? await writeTinyModel(join(scratch, 'tiny')) : model;
    for (const size of sizes) await folderOf(photographs, size, join(scratch, String(size)));
    const jobs = sizes.map((): Measured[] => []);
    for (const size of order) {
      const args = ['--job', join(scratch, String(size)), join(scratch, 'out'), folder, String(threads)];
      const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...args], {
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`the job of ${size} images failed: ${stderr}`);
      jobs[sizes.indexOf(size)]!.push(JSON.parse(stdout) as Measured);
      process.stderr.write(`${size} images done\n`);
    }
    const figures = sizes.map((size, i) => ({
      images: size,
      msPerImage: (1000 * median(jobs[i]!.map(job => job.seconds))) / size,
      cpuMsPerImage: (1000 * median(jobs[i]!.map(job => job.cpuSeconds))) / size,
      reportSeconds: median(jobs[i]!.map(job => job.reportSeconds)),
      peakMiB: median(jobs[i]!.map(job => job.peakMiB)),
    }));
    console.log(
      table([
        ['images', 'ms/image', 'CPU ms/image', 'report s', 'peak MiB'],
        ...figures.map(row => [
          String(row.images),
          row.msPerImage.toFixed(2),
          row.cpuMsPerImage.toFixed(2),
          row.reportSeconds.toFixed(2),
          row.peakMiB.toFixed(0),
        ]),
      ]),
    );
    const [before, last] = figures.slice(-2);
    if (last === undefined || before === undefined) return { figures };
    const ratios = {
      cost: last.msPerImage / before.msPerImage,
      cpu: last.cpuMsPerImage / before.cpuMsPerImage,
      memory: last.peakMiB / before.peakMiB,
    };
    console.log(
      `${last.images} against ${before.images} images: cost per image ${percent(ratios.cost)}, ` +
        `CPU time ${percent(ratios.cpu)}, peak memory ${percent(ratios.memory)}`,
    );
    return { figures, ratios };
  });
}

/** One job in this process. */
async function job(folder: string, out: string, model: string, threads: number): Promise<Measured> {
  const options = resolveSettings({ flags: { model, threads, runs: 1, map: 'uniform', quiet: true } });
  let [live, reporting, cpu] = [Number.NaN, Number.NaN, process.cpuUsage()];
  const observer = {
    started: () => {
      live = performance.now();
      cpu = process.cpuUsage();
    },
    reporting: () => {
      reporting = performance.now();
    },
  };
  await runJob({ inputs: [folder], out, existing: 'overwrite', options }, observer, new AbortController().signal);
  const end = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  return {
    seconds: (reporting - live) / 1000,
    reportSeconds: (end - reporting) / 1000,
    cpuSeconds: (user + system) / 1e6,
    peakMiB: peakMiB(),
  };
}

function peakMiB(): number {
  // The resource usage of a process begins with that of the process it was forked from; Linux tells its own.
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS / 1024;
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
}

const [flag, folder, out, model, threads] = process.argv.slice(2);
if (flag === '--job') {
  console.log(JSON.stringify(await job(folder!, out!, model!, Number(threads))));
} else {
  await runBenchCommand(
    benchCommand<Options>('scale', 'Cost per image and peak memory as jobs grow.', measure)
      .option('--sizes <list>', 'images of each job, ascending, with commas', '100,1000,10000')
      .option('--model <name>', 'name or folder of the model, or tiny', 'efficientnet-lite0')
      .option('--threads <n>', 'worker threads', atLeast(1), availableCores()),
  );
}
