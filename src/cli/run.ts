/** `deflector run`: a bulk job with the embedded pipeline. */
import type { Command } from 'commander';
import { addDefenceOptions, addJobOptions } from './options.js';

export function registerRun(program: Command): void {
  const command = program
    .command('run')
    .description('defend a folder, files, globs or manifests of images')
    .argument('<input...>', 'folder, file, glob (quoted) or manifest (.jsonl, .csv, .txt)')
    .requiredOption('--out <dir>', 'folder for results.jsonl, run.json and report.html')
    .option('--resume', 'go on with an interrupted job, with the settings it began with')
    .option('--overwrite', 'start over where results are there already');
  addDefenceOptions(addJobOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  $ deflector run photos --out results
  $ deflector run 'photos/**/*.jpg' --out results --runs 20 --threads 4
  $ deflector run list.csv --out results --emit defended
  $ deflector run photos --out results --resume

Ctrl-C finishes what is in flight; --resume goes on from there.`,
    )
    .action(async (inputs: string[], _options: unknown, self: Command) => {
      const { runCommand } = await import('./run-command.js');
      process.exitCode = await runCommand(inputs, self);
    });
}
