/** `deflector enqueue`: the producer of the distributed pipeline. */
import type { Command } from 'commander';
import { EMBEDDED_SETTINGS } from '../config/table.js';
import { addDefenceOptions, addQueueOptions, addSettings } from './options.js';

export function registerEnqueue(program: Command): void {
  const command = program
    .command('enqueue')
    .description('put a job into the queue, for workers to defend')
    .argument('<input...>', 'folder, file, glob (quoted) or manifest (.jsonl, .csv, .txt), as the workers reach it')
    .requiredOption('--job <name>', 'what the job is called')
    .requiredOption('--out <dir>', 'folder for chunks and verdicts, as the workers reach it');
  addDefenceOptions(addSettings(command, ['followLinks', 'emit', 'emitForm', 'shardSize', 'quiet']), EMBEDDED_SETTINGS);
  addQueueOptions(command, 'producer')
    .addHelpText(
      'after',
      `
Examples:
  $ deflector enqueue photos --job photos-1 --out results
  $ deflector enqueue list.jsonl --job urgent --out results --lane online --chunk 4 --deadline 10m
  $ deflector enqueue s3://photos/2024 --job p --out s3://results/p --fetch separate --emit defended

Stopped or killed, it goes on where it was when it is called again in the same way.
Then: deflector jobs wait NAME; deflector jobs export NAME`,
    )
    .action(async (inputs: string[], _options: unknown, self: Command) => {
      const { enqueueCommand } = await import('./enqueue-command.js');
      process.exitCode = await enqueueCommand(inputs, self);
    });
}
