/** Entry of a worker thread: one climber, driven by messages (see ladder-pool.ts). */
import { parentPort, workerData } from 'node:worker_threads';
import { toVerdictError } from '../../stages/common.js';
import { Climber, type ClimberSpec } from './climber.js';
import type { FromClimber, ToClimber } from './ladder-pool.js';

const port = parentPort!;
const post = (message: FromClimber): void => port.postMessage(message);
const fail = (error: unknown): void => {
  const { code, message } = toVerdictError(error);
  post({ type: 'failed', code, message });
};

try {
  const climber = await Climber.open(workerData as ClimberSpec);
  port.on('message', async (message: ToClimber) => {
    if (message.type === 'end') {
      // The pool says so when nothing is in hand.
      await climber.close();
      port.close();
      return;
    }
    try {
      post({ type: 'done', result: await climber.climb(message.climb) });
    } catch (error) {
      fail(error);
    }
  });
  post({ type: 'ready' });
} catch (error) {
  fail(error);
}
