/** Commands that Ctrl-C or SIGTERM asks to stop in order; a second time stops at once. */
import { EXIT } from './exit-codes.js';

/** @param quiet says nothing of the stop */
export async function stoppable<T>(quiet: boolean, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    stop.abort();
    if (!quiet) process.stderr.write('\nStopping: finishing what is in flight. Ctrl-C again stops at once.\n');
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    return await work(stop.signal);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}
