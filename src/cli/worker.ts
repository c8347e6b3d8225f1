/** `deflector worker`: a process of the distributed pipeline that takes chunks from the queue. */
import { Argument, type Command } from 'commander';
import { STAGE_QUEUES, type StageQueue } from '../jobs/chunk-task.js';
import { addConfigOption, addQueueOptions, addSettings, addTelemetryOptions } from './options.js';

export function registerWorker(program: Command): void {
  const command = program
    .command('worker')
    .description('take chunks from the queues and work on them, until it is stopped')
    .addArgument(
      new Argument(
        '<stage>',
        'fetch makes packs of pixels, defend defends them (or fetches and defends), publish delivers and counts verdicts, all does all',
      ).choices(['all', ...STAGE_QUEUES]),
    );
  addSettings(command, ['threads', 'batch', 'runtime', 'device', 'quiet']);
  addTelemetryOptions(addQueueOptions(addConfigOption(command, { json: false }), 'worker', 'sink'))
    .addHelpText(
      'after',
      `
Examples:
  $ deflector worker all
  $ deflector worker fetch                        (for jobs with --fetch separate)
  $ deflector worker defend --redis-url rediss://worker:secret@redis.example:6380 --threads 8
  $ deflector worker all --metrics-port 9464
  $ deflector worker publish --sink parquet:s3://results/verdicts,redis:verdicts

SIGTERM and Ctrl-C let it finish what it has in hand, for at most --drain seconds, and hand the rest back.`,
    )
    .action(async (stage: 'all' | StageQueue, _options: unknown, self: Command) => {
      const { workerCommand } = await import('./worker-command.js');
      process.exitCode = await workerCommand(stage, self);
    });
}
