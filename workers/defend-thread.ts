/** Entry of a worker thread of the embedded pipeline: one engine, driven by messages (see pipelines/defend-pool.ts). */
import { parentPort, workerData } from 'node:worker_threads';
import type { FromThread, ToThread } from '../pipelines/defend-pool.js';
import { type EngineSpec, openEngine } from '../pipelines/engine.js';
import { toVerdictError } from '../src/stages/common.js';

const port = parentPort!;
const post = (message: FromThread): void => port.postMessage(message);

try {
  const engine = await openEngine(workerData as EngineSpec);
  const inHand = new Set<Promise<void>>();
  port.on('message', (message: ToThread) => {
    if (message.type === 'end') {
      port.close();
      void Promise.all(inHand).then(() => engine.close());
      return;
    }
    const { id, image, wanted } = message;
    const defended = engine.defend(image, wanted).then(outcome => {
      inHand.delete(defended);
      post({ type: 'outcome', id, outcome });
    });
    inHand.add(defended);
  });
  post({ type: 'ready', info: engine.info });
} catch (error) {
  const { code, message } = toVerdictError(error);
  post({ type: 'failed', code, message });
}
