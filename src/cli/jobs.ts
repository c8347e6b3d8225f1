/** `deflector jobs`: what became of the jobs that were put into the queue. */
import type { Command } from 'commander';
import { addConfigOption, addQueueOptions, addSettings } from './options.js';

type Work = typeof import('./jobs-command.js');

/** Adds `jobs list`, `show`, `wait`, `cancel`, `retry`, `dead`, `export` and `clean`. */
export function registerJobs(program: Command): void {
  const jobs = program.command('jobs').description('list, watch, cancel, retry, export and clean up jobs of the queue');

  const add = (name: string, description: string, work: keyof Work, example: string): Command => {
    const command = jobs.command(name).description(description);
    if (name !== 'list') command.argument(name === 'clean' ? '[name]' : '<name>', 'name of the job');
    return addQueueOptions(addConfigOption(command))
      .addHelpText('after', `\nExample:\n  $ deflector jobs ${example}`)
      .action(async (...args: unknown[]) => {
        const self = args.at(-1) as Command;
        const commands = await import('./jobs-command.js');
        process.exitCode = await commands[work](self);
      });
  };

  add('list', 'list the jobs that Redis remembers, the newest first', 'listJobs', 'list');
  add('show', 'show what a job is and how far it is', 'showJob', 'show photos-1 --json');
  const wait = add(
    'wait',
    'wait until a job has ended; exit code 1 if it is stuck or cancelled, or has too many error verdicts',
    'waitForJob',
    'wait photos-1',
  );
  addSettings(wait, ['maxErrors', 'quiet']);
  add('cancel', 'end a job: what is in flight is dropped', 'cancelJob', 'cancel photos-1');
  add('retry', 'try again what was given up', 'retryJob', 'retry photos-1');
  add('dead', 'show what was given up, and why', 'deadLetters', 'dead photos-1 --json');
  const exporting = add(
    'export',
    'write the results of a complete job: results.jsonl or results.parquet, run.json and report.html',
    'exportResults',
    'export photos-1 --to results',
  );
  addSettings(exporting, ['format', 'gallery', 'quiet'])
    .option('--to <dir>', "folder or s3:// prefix for the files (default: the job's own)")
    .option('--overwrite', 'start over where results are there already')
    .option('--clean', 'then remove the chunks of the job');
  add('clean', 'remove the chunks of a job that has ended and was exported', 'cleanJobs', 'clean photos-1')
    .option(
      '--older-than <days>',
      'in place of one job: all that were exported, or cancelled, and ended so many days ago',
    )
    .option('--discard', 'also where the results were never exported');
}
