/**
 * The defence in the model's graph beside the kernel, and beside the bare classifier at as many forward passes.
 *
 *     deflector bench graph [--model NAME] [--runtime NAME] [--batches 1,8,64] [--rounds 20] [--json FILE]
 *
 * The three take turns in every round. Deflections are drawn anew for each call, as a job draws them; on a GPU what counts is
 * wall time, transfers included.
 */
import { Option } from 'commander';
import type { PreparedImage } from '../src/defense/defender.js';
import { createKernelDefender } from '../src/defense/kernel/kernel-defender.js';
import { runRandom } from '../src/defense/random.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../src/defense/settings.js';
import { tensorFormat } from '../src/images/tensor.js';
import { openModel } from '../src/models/registry.js';
import { openClassifier, openRunClassifier } from '../src/models/runtimes.js';
import type { RgbImage } from '../src/types.js';
import { atLeast, benchCommand, runBenchCommand } from './lib/command.js';
import { median, medianRatio, percent, short, table } from './lib/statistics.js';

interface Options {
  readonly model: string;
  readonly runtime: string;
  readonly batches: readonly number[];
  readonly rounds: number;
  readonly threads: number;
  readonly half?: boolean;
}

interface Figures {
  readonly batch: number;
  /** Runs a second, median over the rounds. */
  readonly bare: number;
  readonly graph: number;
  readonly kernel: number;
  /** Throughput with the defence in the graph over that of the bare classifier. */
  readonly graphOfBare: number;
  /** Throughput with the defence in the graph over that of the kernel and the classifier. */
  readonly graphOverKernel: number;
}

/** Runs of one image, as a vote asks for them. */
const RUNS = 10;
const SHA256 = '5e'.repeat(32);
const SETTINGS: DefenceSettings = { ...PAPER_SETTINGS, seed: 'bench', runs: RUNS };

async function measure(options: Options): Promise<readonly Figures[]> {
  const model = await openModel(options.model);
  const runtime = { runtime: options.runtime, threads: options.threads };
  const classifier = await openClassifier(model, runtime);
  const fused = await openRunClassifier(model, SETTINGS, options.half ? 'half' : 'on', runtime);
  if (fused === undefined) throw new Error('the defence is not in the graph');
  const defender = await createKernelDefender();
  const { width, height } = model.preprocessing;
  const format = tensorFormat(model.preprocessing);
  const length = 3 * width * height;
  const all: Figures[] = [];
  for (const batch of options.batches) {
    const images = Array.from({ length: Math.ceil(batch / RUNS) }, (_, i) => texture(width, height, i));
    const input = new Float32Array(batch * length);
    const times = { bare: [] as number[], graph: [] as number[], kernel: [] as number[] };
    for (let round = 0; round < options.rounds + 2; round++) {
      const first = round * RUNS;
      const graph = await milliseconds(() =>
        fused.classifyRuns(
          Array.from({ length: batch }, (_, i) => ({
            image: images[Math.floor(i / RUNS)]!,
            map: undefined,
            sha256: SHA256,
            run: first + (i % RUNS),
          })),
        ),
      );
      const kernel = await milliseconds(() => {
        for (const [i, image] of images.entries()) {
          const prepared: PreparedImage = defender.prepare(image, undefined, SETTINGS);
          for (let run = 0; run < RUNS && i * RUNS + run < batch; run++) {
            prepared.run(runRandom(SETTINGS.seed, SHA256, first + run), input, (i * RUNS + run) * length, format);
          }
          prepared.release();
        }
        return classifier.classify(input, batch, false);
      });
      const bare = await milliseconds(() => classifier.classify(input, batch, false));
      // The first calls of a session choose its algorithms and its memory.
      if (round < 2) continue;
      times.bare.push(bare);
      times.graph.push(graph);
      times.kernel.push(kernel);
    }
    const rate = (ms: readonly number[]): number => (1000 * batch) / median(ms);
    all.push({
      batch,
      bare: rate(times.bare),
      graph: rate(times.graph),
      kernel: rate(times.kernel),
      graphOfBare: medianRatio(times.bare, times.graph),
      graphOverKernel: medianRatio(times.kernel, times.graph),
    });
  }
  await fused.dispose();
  await classifier.dispose();
  print(options, classifier.runtime, all);
  return all;
}

function print({ model }: Options, runtime: string, all: readonly Figures[]): void {
  console.log(`${model} on ${runtime}: runs a second, ${RUNS} runs an image, defence included`);
  console.log(
    table([
      ['batch', 'bare classifier', 'defence in the graph', 'kernel + classifier', 'graph / bare', 'graph / kernel'],
      ...all.map(row => [
        String(row.batch),
        short(row.bare),
        short(row.graph),
        short(row.kernel),
        percent(row.graphOfBare),
        `${short(row.graphOverKernel)}x`,
      ]),
    ]),
  );
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** What photographs have, smooth parts and edges, made from a number. */
function texture(width: number, height: number, seed: number): RgbImage {
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    return (
      128 + 60 * Math.sin(x / (5 + c + seed)) + 50 * Math.sign(Math.sin((x + y * (c + 1)) / 23)) + ((i * 7919) % 17)
    );
  });
  return { width, height, data };
}

function sizes(text: string): readonly number[] {
  return text.split(',').map(atLeast(1));
}

await runBenchCommand(
  benchCommand<Options>('graph', "the defence in the model's graph, beside the kernel and the bare classifier", measure)
    .option('--model <name>', 'name or folder of the classifier', 'efficientnet-lite0')
    .option('--runtime <name>', 'what executes the model', 'auto')
    .addOption(new Option('--batches <list>', 'runs in one call').argParser(sizes).default([1, 8, 32], '1,8,32'))
    .option('--threads <n>', 'threads that compute one call', atLeast(1), 1)
    .option('--half', 'coefficients in half precision')
    .option('--rounds <n>', 'rounds measured', atLeast(3), 20),
);
