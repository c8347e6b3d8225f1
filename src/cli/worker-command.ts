/** What `deflector worker` does once it is called. */
import type { Command } from 'commander';
import { runWorker, type WorkerStage } from '../../workers/host.js';
import { visibleText } from '../report/visible-text.js';
import { EXIT } from './exit-codes.js';
import { settingsFromCommand } from './options.js';
import { stoppable } from './stoppable.js';

/** Seconds after the limit of draining in which a worker that hangs is ended by force. */
const GRACE_SECONDS = 5;

/** @returns the exit code */
export async function workerCommand(stage: WorkerStage, command: Command): Promise<number> {
  const options = await settingsFromCommand(command);
  const log = (line: string) => process.stderr.write(`${visibleText(line)}\n`);
  const giveUp = (message: string) => {
    log(`error WORKER_LOST: ${message}`);
    process.exit(EXIT.errors);
  };
  await stoppable(options.quiet, async signal => {
    const end = () =>
      setTimeout(
        () => giveUp('what is in hand neither ends nor can be handed back'),
        (options.drain + GRACE_SECONDS) * 1000,
      ).unref();
    signal.addEventListener('abort', end, { once: true });
    const ready = () => {
      if (!options.quiet)
        log(`Worker ${stage} is ready: ${options.threads} threads, ${options.concurrency} chunks at a time`);
    };
    await runWorker(stage, options, log, giveUp, ready, signal);
  });
  return EXIT.done;
}
