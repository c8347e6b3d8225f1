/** `deflector bench`: the benchmarks, each in a process of its own, as measuring asks for. */
import type { Command } from 'commander';

/** By the names of their files in bench/. */
const BENCHMARKS: Readonly<Record<string, string>> = {
  kernel: 'the defence of one image, beside the plain version and beside scikit-image',
  pipeline: 'images per second, beside bare forward passes and beside Python',
  'early-stop': 'forward passes that early stopping saves, and how often the label is the same',
  scale: 'cost per image and peak memory at 100, 1,000 and 10,000 images',
  graph: "the defence in the model's graph, beside the kernel and the bare classifier",
  runtimes: 'memory under 10,000 calls of each runtime, and what is left of sessions and tensors',
  gradient: 'what a gradient of the bundled model costs, in forward passes',
  autoscaling: 'backlog, pods and cost under the autoscaling of the Helm chart, simulated',
  queue: 'keys a second through the queue, and the share of a real job that queue and storage take',
  ingest: 'the HTTP gateway at 200 events a second: nothing lost, and 429 when the queue is full',
  storage: 'reads a second from an S3 server, and processor time a read',
  attacks: 'attacks, beside those of Foolbox',
  startup: 'what starting costs, beside node -e 0',
  preprocessing: 'decoding and resizing, beside Pillow',
  comparators: 'other defences, beside the Python libraries that have them',
};

export function registerBench(program: Command): void {
  const width = Math.max(...Object.keys(BENCHMARKS).map(name => name.length));
  const list = Object.entries(BENCHMARKS).map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}`);
  program
    .command('bench')
    .description('measure this machine and this version side by side with others')
    .argument('[name]', 'one of the benchmarks below')
    .argument('[args...]', "the benchmark's own options")
    // Options, --help included, are the benchmark's.
    .helpOption(false)
    .allowUnknownOption()
    .addHelpText(
      'after',
      `
Benchmarks:
${list.join('\n')}

Examples:
  $ deflector bench startup
  $ deflector bench pipeline --data photos --json pipeline.json
  $ deflector bench pipeline --help

Measure on a machine that does nothing else.`,
    )
    .action(async (name: string | undefined, _args: string[], _options: unknown, self: Command) => {
      if (name === undefined || name === '--help' || name === '-h') {
        self.outputHelp();
        return;
      }
      const { runBenchmark } = await import('./bench-process.js');
      process.exitCode = await runBenchmark(name, Object.keys(BENCHMARKS), self.args.slice(1));
    });
}
