/** Entry of a worker thread: one laboratory, driven by messages (see evaluation-pool.ts). */
import { parentPort, workerData } from 'node:worker_threads';
import { toVerdictError } from '../stages/common.js';
import type { FromThread, ToThread } from './evaluation-pool.js';
import { ImageLaboratory, type LaboratorySpec } from './image-laboratory.js';

const port = parentPort!;
const post = (message: FromThread): void => port.postMessage(message);
const fail = (error: unknown): void => {
  const { code, message } = toVerdictError(error);
  post({ type: 'failed', code, message });
};

try {
  const laboratory = await ImageLaboratory.open(workerData as LaboratorySpec);
  port.on('message', async (message: ToThread) => {
    if (message.type === 'end') {
      // The pool says so when nothing is in hand.
      await laboratory.close();
      port.close();
      return;
    }
    try {
      post({ type: 'found', findings: await laboratory.examine(message.experiment) });
    } catch (error) {
      fail(error);
    }
  });
  post({ type: 'ready' });
} catch (error) {
  fail(error);
}
