/**
 * Images per second of the whole pipeline (`deflector run`, recipe `paper`), beside the bound and beside Python.
 *
 *     node dist/bench/pipeline.js [--data FOLDER] [--images N] [--rounds N] [--early-stop off,exact,risk:0.001] [--json FILE]
 *
 * Every round measures the bound, each setting and Python right after each other; ratios are medians over the rounds. The
 * bound is a bare loop of ONNX Runtime calls with as many forward passes as the setting took, nothing decoded, nothing
 * defended. Models and interpreters are live before the time is taken.
 */
import { join } from 'node:path';
import { availableCores } from '../src/config/cores.js';
import { requireOnnx } from '../src/models/model.js';
import { openModel } from '../src/models/registry.js';
import { type BareLoop, type LoopRate, openBareLoops } from './lib/bound.js';
import { atLeast, benchCommand, runBenchCommand } from './lib/command.js';
import { folderOf, fromRoot, imagesOf, withScratch } from './lib/folders.js';
import { type MeasuredJob, measureJob } from './lib/job.js';
import { PythonPipeline, type PythonRound } from './lib/python-pipeline.js';
import { mean, median, medianRatio, percent, short, table } from './lib/statistics.js';

interface Options {
  readonly data: string;
  readonly images: number;
  readonly rounds: number;
  readonly earlyStop: string;
  readonly model: string;
  readonly threads: number;
  readonly batches: string;
  readonly python: boolean;
}

const PYTHON_PROCESSES = 2;

interface Round {
  readonly bound: LoopRate;
  /** One for each setting. */
  readonly jobs: readonly MeasuredJob[];
  readonly python: PythonRound | undefined;
}

async function measure(options: Options): Promise<unknown> {
  const { threads, images } = options;
  const settings = options.earlyStop.split(',');
  const model = requireOnnx(await openModel(options.model));
  return withScratch(async scratch => {
    const folder = await folderOf(await imagesOf(options.data), images, join(scratch, 'images'));
    const files = await imagesOf(folder);
    const python = options.python ? await PythonPipeline.start(model, PYTHON_PROCESSES, scratch) : 'It was left out.';
    if (typeof python === 'string') console.log(`No Python pipeline: ${python}`);
    const { loops, close } = await openBareLoops(model, threads, options.batches.split(',').map(atLeast(1)));
    const loop = await fastest(loops);
    const rounds: Round[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const bound = await loop.run(6 * images);
      const jobs: MeasuredJob[] = [];
      for (const earlyStop of settings) {
        const flags = { model: options.model, threads, recipe: 'paper', earlyStop, gallery: 0, quiet: true };
        jobs.push(await measureJob(folder, join(scratch, 'out'), flags));
      }
      rounds.push({ bound, jobs, python: typeof python === 'string' ? undefined : await python.defend(files) });
      process.stderr.write(`round ${round + 1} of ${options.rounds}\n`);
    }
    await close();
    if (typeof python !== 'string') await python.close();
    return report(options, settings, loop.name, rounds);
  });
}

/** The fastest way to call ONNX Runtime on this machine, each tried twice. Prints all. */
async function fastest(loops: readonly BareLoop[]): Promise<BareLoop> {
  const rates = loops.map(() => 0);
  for (let round = 0; round < 2; round++) {
    for (const [i, loop] of loops.entries()) rates[i] = Math.max(rates[i]!, (await loop.run(96)).passesPerSecond);
  }
  console.log(table([['bare loop', 'passes/s'], ...loops.map((loop, i) => [loop.name, rates[i]!.toFixed(0)])]));
  return loops[rates.indexOf(Math.max(...rates))]!;
}

function report({ images }: Options, settings: readonly string[], loop: string, rounds: readonly Round[]): unknown {
  const python = rounds.flatMap(round => round.python ?? []);
  const bound = rounds.map(round => round.bound.passesPerSecond);
  const figures = settings.map((earlyStop, i) => {
    const jobs = rounds.map(round => round.jobs[i]!);
    const rates = jobs.map(job => images / job.seconds);
    const passes = jobs[0]!.passes / images;
    return {
      earlyStop,
      imagesPerSecond: median(rates),
      passesPerImage: passes,
      msPerImage: (1000 * median(jobs.map(job => job.seconds))) / images,
      cpuMsPerImage: (1000 * median(jobs.map(job => job.cpuSeconds))) / images,
      shareOfBound: medianRatio(
        rates.map(rate => rate * passes),
        bound,
      ),
      // What a busy machine cannot falsify; the same as the share above where all cores are kept busy.
      cpuShareOfBound: medianRatio(
        rounds.map(round => round.bound.cpuMsPerPass * passes),
        jobs.map(job => (1000 * job.cpuSeconds) / images),
      ),
      timesPython:
        python.length === 0
          ? null
          : medianRatio(
              rates,
              python.map(({ seconds }) => images / seconds),
            ),
      sameLabelAsPython:
        python.length === 0
          ? null
          : mean(jobs[0]!.verdicts.map(({ label }, k) => (label.index === python[0]!.labels[k] ? 1 : 0))),
    };
  });
  const pythonRate = python.length === 0 ? null : median(python.map(({ seconds }) => images / seconds));
  console.log(`\nBound: ${median(bound).toFixed(0)} forward passes a second (${loop})`);
  if (pythonRate !== null) console.log(`Python in ${PYTHON_PROCESSES} processes: ${short(pythonRate)} images a second`);
  console.log(
    table([
      [
        '--early-stop',
        'images/s',
        'passes/image',
        'share of bound',
        'of its CPU time',
        'times Python',
        'labels as Python',
      ],
      ...figures.map(row => [
        row.earlyStop,
        row.imagesPerSecond.toFixed(1),
        row.passesPerImage.toFixed(2),
        percent(row.shareOfBound),
        percent(row.cpuShareOfBound),
        row.timesPython === null ? '-' : row.timesPython.toFixed(2),
        row.sameLabelAsPython === null ? '-' : percent(row.sameLabelAsPython),
      ]),
    ]),
  );
  return {
    images,
    bound: { loop, passesPerSecond: median(bound) },
    python: { processes: PYTHON_PROCESSES, imagesPerSecond: pythonRate },
    settings: figures,
  };
}

await runBenchCommand(
  benchCommand<Options>(
    'pipeline',
    'Images per second of the whole pipeline, beside bare forward passes and beside Python.',
    measure,
  )
    .option('--data <folder>', 'folder of photographs', fromRoot('samples'))
    .option('--images <n>', 'images in a round, repeated where the folder has fewer', atLeast(1), 200)
    .option('--rounds <n>', 'how often everything is measured', atLeast(1), 5)
    .option('--early-stop <list>', 'settings to measure, with commas', 'off,exact,risk:0.001')
    .option('--model <name>', 'name or folder of the model', 'efficientnet-lite0')
    .option('--threads <n>', 'worker threads, and cores of the bound', atLeast(1), availableCores())
    .option('--batches <list>', 'batch sizes of the bound, with commas', '1,2,4,8')
    .option('--no-python', 'leave the Python pipeline out'),
);
