/** What a worker thread does that answers calls, one at a time; the other end of `calling-thread.ts`. */
import { parentPort, workerData } from 'node:worker_threads';
import { toVerdictError } from '../stages/common.js';
import type { FromThread, ToThread } from './calling-thread.js';

/** What answers in a thread: models, kernels, and what else takes long to open. */
export interface Answering<Call, Answer> {
  answer(call: Call): Promise<Answer>;
  close(): Promise<void>;
}

/** Opens what the caller asked for, and answers its calls until it ends the thread. Errors go to the caller. */
export async function answerCalls<Spec, Call, Answer>(
  open: (spec: Spec) => Promise<Answering<Call, Answer>>,
): Promise<void> {
  const port = parentPort!;
  const post = (message: FromThread<Answer>): void => port.postMessage(message);
  const fail = (error: unknown): void => {
    const { code, message } = toVerdictError(error);
    post({ type: 'failed', code, message });
  };
  try {
    const answering = await open(workerData as Spec);
    port.on('message', async (message: ToThread<Call>) => {
      if (message.type === 'end') {
        // The caller says so when nothing is in hand.
        await answering.close();
        port.close();
        return;
      }
      try {
        post({ type: 'answer', answer: await answering.answer(message.call) });
      } catch (error) {
        fail(error);
      }
    });
    post({ type: 'ready' });
  } catch (error) {
    fail(error);
  }
}
