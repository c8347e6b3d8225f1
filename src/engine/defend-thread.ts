/** Entry of a worker thread: one engine, driven by messages (see defend-pool.ts). */
import { parentPort, workerData } from 'node:worker_threads';
import { toVerdictError } from '../stages/common.js';
import type { ModelCall } from '../stages/observer.js';
import type { FromThread, ToThread } from './defend-pool.js';
import { type EngineSpec, openEngine } from './engine.js';

const port = parentPort!;
const post = (message: FromThread): void => port.postMessage(message);

try {
  let calls: ModelCall[] = [];
  const engine = await openEngine(workerData as EngineSpec, call => calls.push(call));
  port.on('message', async (message: ToThread) => {
    if (message.type === 'end') {
      // The pool says so when nothing is in hand.
      await engine.close();
      port.close();
      return;
    }
    const { id, image, wanted } = message;
    const outcome = await engine.defend(image, wanted);
    post({ type: 'outcome', id, outcome, calls });
    calls = [];
  });
  post({ type: 'ready', info: engine.info });
} catch (error) {
  const { code, message } = toVerdictError(error);
  post({ type: 'failed', code, message });
}
