/**
 * Whether the memory of a runtime grows under many calls, and whether sessions and tensors are left.
 *
 *     deflector bench runtimes [RUNTIME ...] [--calls 10000] [--reopen 1000] [--model NAME] [--tensorflow-model FOLDER] [--json FILE]
 *
 * Each runtime that works here (or those that are named) is called in a process of its own, with batches of one to eight
 * images; its classifier is disposed of and opened anew every thousand calls. Without models of your own: the bundled one in
 * 8-bit integers, and a TensorFlow.js network of one convolution, since what leaks does not depend on the size.
 */
import { Option } from 'commander';
import { tryRuntime } from '../src/doctor/runtimes.js';
import { isOnnx } from '../src/models/model.js';
import { openModel } from '../src/models/registry.js';
import { RUNTIME_NAMES, type RuntimeName, TENSORFLOW_RUNTIMES } from '../src/models/runtime-names.js';
import { atLeast, benchCommand, runBenchCommand } from './lib/command.js';
import { withScratch } from './lib/folders.js';
import { growthPerCall, soak } from './lib/soak.js';
import { short, table } from './lib/statistics.js';
import { writeTinyTensorflowModel } from './lib/tiny-tensorflow-model.js';

interface Options {
  readonly calls: number;
  readonly reopen: number;
  readonly model: string;
  readonly tensorflowModel?: string;
}

async function measure(options: Options, names: readonly string[]): Promise<unknown> {
  const all: readonly RuntimeName[] = RUNTIME_NAMES;
  const unknown = names.find(name => !all.some(known => known === name));
  if (unknown !== undefined) throw new Error(`there is no runtime ${unknown}; there are ${all.join(', ')}`);
  if (!isOnnx(await openModel(options.model))) throw new Error('--model takes an ONNX model');
  return withScratch(async scratch => {
    const tensorflow = options.tensorflowModel ?? (await writeTinyTensorflowModel(scratch));
    const figures = [];
    for (const runtime of all.filter(name => names.length === 0 || names.includes(name))) {
      const absent = await tryRuntime(runtime).then(
        () => undefined,
        (error: Error) => error.message,
      );
      if (absent !== undefined) {
        console.log(`${runtime} does not work here: ${absent}`);
        figures.push({ runtime, absent });
        continue;
      }
      const model = TENSORFLOW_RUNTIMES.some(name => name === runtime) ? tensorflow : options.model;
      const { samples, end } = await soak(runtime, model, options.calls, options.reopen);
      figures.push({ runtime, growth: growthPerCall(samples), samples, end });
    }
    const rows = figures.flatMap(({ runtime, growth, samples, end }) =>
      samples === undefined || end === undefined || growth === undefined
        ? []
        : [
            [
              ...[runtime, mebibytes(samples[0]!.rss), mebibytes(samples[samples.length >> 1]!.rss)],
              ...[mebibytes(samples.at(-1)!.rss), short(growth), String(end.sessions)],
              `${samples[0]!.tensors ?? '–'} → ${samples.at(-1)!.tensors ?? '–'} → ${end.tensors ?? '–'}`,
              `${samples[1]!.threads ?? '–'} → ${samples.at(-1)!.threads ?? '–'}`,
            ],
          ],
    );
    console.log(
      table([
        ['runtime', 'MiB at start', 'half-way', 'at the end', 'bytes a call', 'sessions left', 'tensors', 'threads'],
        ...rows,
      ]),
    );
    return figures;
  });
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}

await runBenchCommand(
  benchCommand('runtimes', 'memory under many calls, on each runtime that works here', measure)
    .argument('[runtime...]', 'those to call (default: all that work here)')
    .addOption(new Option('--calls <n>', 'calls of each runtime').argParser(atLeast(100)).default(10_000))
    .addOption(new Option('--reopen <n>', 'calls of one classifier').argParser(atLeast(1)).default(1000))
    .option('--model <name>', 'the ONNX model', 'efficientnet-lite0-int8')
    .option('--tensorflow-model <folder>', 'the TensorFlow.js model'),
);
