/** `deflector run`: a bulk job with the embedded pipeline. */
import type { Command } from 'commander';
import { addDefenceOptions, addJobOptions, addTelemetryOptions } from './options.js';

export function registerRun(program: Command): void {
  const command = program
    .command('run')
    .description('defend a folder, files, globs, manifests or shards of images, also in S3')
    .argument(
      '<input...>',
      'folder, file, glob (quoted), manifest (.jsonl, .csv, .txt) or shard (.tar); or s3://bucket/key of one',
    )
    .requiredOption('--out <dir>', 'folder or s3://bucket/prefix for results.jsonl, run.json and report.html')
    .option('--resume', 'go on with an interrupted job, with the settings it began with')
    .option('--overwrite', 'start over where results are there already');
  addTelemetryOptions(addDefenceOptions(addJobOptions(command)), ['logLevel'])
    .addHelpText(
      'after',
      `
Examples:
  $ deflector run photos --out results
  $ deflector run 'photos/**/*.jpg' --out results --runs 20 --threads 4
  $ deflector run list.csv --out results --emit defended
  $ deflector run s3://photos/2024/ --out s3://results/2024 --s3-endpoint http://localhost:9000
  $ deflector run photos --out results --resume

Ctrl-C finishes what is in flight; --resume goes on from there.`,
    )
    .action(async (inputs: string[], _options: unknown, self: Command) => {
      const { runCommand } = await import('./run-command.js');
      process.exitCode = await runCommand(inputs, self);
    });
}
