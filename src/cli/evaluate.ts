/** `deflector evaluate`: the paper's tables and figures for any model and any labelled images. */
import type { Command } from 'commander';
import { addJsonOption, addSettings } from './options.js';

export function registerEvaluate(program: Command): void {
  const command = program
    .command('evaluate')
    .description("measure the defence: the paper's tables and figures, rival defences, adaptive attacks")
    .argument(
      '<protocol>',
      'table1 to table9, figure1 ..., ladder, strength, external; paper: all of them; smoke: a few',
    )
    .requiredOption('--data <dir>', 'folder of labelled images: class folders, or a labels.csv in it or beside it')
    .requiredOption('--out <dir>', 'folder or s3://bucket/prefix for evaluation.html, .md, .csv and .json')
    .option('--images <n>', "images of the main tables (default: the protocol's)")
    .option('--labels <source>', 'true classes: folder, a CSV file, or own (the label of the model)')
    .option('--compare <model...>', 'further models, for the table that compares models')
    .option(
      '--cache <dir>',
      'folder or s3://bucket/prefix for what was found, adversarial images included (default: OUT/cache)',
    )
    .option('--shard <i/n>', 'do only part i of n, from 1, and write no report; all parts share one --cache');
  addSettings(command, ['model', 'runtime', 'threads']);
  command.option('--seed <text>', 'fixes all draws, so that figures can be made again', '1');
  addSettings(command, ['maxBytes', 'maxPixels', 'imageTimeout']);
  addSettings(command, ['s3Endpoint', 's3Region', 's3Addressing', 's3Timeout', 's3Tries', 'quiet']);
  addJsonOption(command)
    .addHelpText(
      'after',
      `
Examples:
  $ deflector evaluate smoke --data photos --out results
  $ deflector evaluate paper --data photos --out results --images 200
  $ deflector evaluate paper --data photos --out results --cache s3://bucket/cache --shard 2/8
  $ deflector evaluate external --data adversarial --out results

What was found is kept: calling a command again, after Ctrl-C too, goes on where it stopped.`,
    )
    .action(async (protocol: string, _options: unknown, self: Command) => {
      const { evaluateCommand } = await import('./evaluate-command.js');
      process.exitCode = await evaluateCommand(protocol, self);
    });
}
