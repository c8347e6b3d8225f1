/** What `deflector worker` does once it is called. */
import type { Command } from 'commander';
import { runWorker, type WorkerStage } from '../../workers/host.js';
import { openLog, secretsIn } from '../telemetry/log.js';
import { EXIT } from './exit-codes.js';
import { settingsFromCommand } from './options.js';
import { stoppable } from './stoppable.js';

/** Seconds after the limit of draining in which a worker that hangs is ended by force. */
const GRACE_SECONDS = 5;

/** @returns the exit code */
export async function workerCommand(stage: WorkerStage, command: Command): Promise<number> {
  const options = await settingsFromCommand(command);
  const level = options.quiet ? 'warn' : options.logLevel;
  const { log, close } = await openLog(level, secretsIn(process.env, options.redisUrl));
  const giveUp = (reason: string) => {
    log.error({ code: 'WORKER_LOST', error: reason }, 'Worker gives up');
    process.exit(EXIT.errors);
  };
  // What a log is made of is not broken by lines for people.
  await stoppable(true, async signal => {
    const stop = () => {
      log.info({ drain: options.drain }, 'Worker is stopping: it finishes what it has in hand');
      setTimeout(
        () => giveUp('what is in hand neither ends nor can be handed back'),
        (options.drain + GRACE_SECONDS) * 1000,
      ).unref();
    };
    signal.addEventListener('abort', stop, { once: true });
    const { threads, concurrency } = options;
    const ready = () => log.info({ worker: stage, threads, concurrency }, 'Worker is ready');
    await runWorker(stage, options, log, giveUp, ready, signal);
    log.info('Worker has ended');
  });
  close();
  return EXIT.done;
}
