/** Death for worker threads, from outside. */
import type { TestContext } from 'node:test';
import type { Worker } from 'node:worker_threads';
import type { ToThread } from '../../src/engine/defend-pool.js';

/**
 * Ends any worker thread that is handed an image for which `deadly` holds.
 *
 * @returns counts of the threads that were started and of those that were killed
 */
export function killThreads(t: Pick<TestContext, 'after'>, deadly: (key: string) => boolean) {
  const counts = { started: 0, killed: 0 };
  const watch = (worker: Worker) => {
    counts.started++;
    const post = worker.postMessage.bind(worker);
    worker.postMessage = (message: ToThread) => {
      if (message.type !== 'defend' || !deadly(message.image.key)) {
        post(message);
        return;
      }
      // Nothing that a thread can read: it dies of it between two calls of the model. Ended from outside it could be in the
      // middle of one, and ONNX Runtime then takes the whole process with it.
      counts.killed++;
      post(null as unknown as ToThread);
    };
  };
  process.on('worker', watch);
  t.after(() => process.off('worker', watch));
  return counts;
}
