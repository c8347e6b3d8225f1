/** A thread of a bare loop (see bound.ts): answers each request once its calls are done. */
import { parentPort, workerData } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';

export interface LoopWork {
  readonly network: Uint8Array;
  /** Names of its image input and of its scores. */
  readonly input: string;
  readonly output: string;
  /** Of one image. */
  readonly shape: readonly number[];
  /** Threads of the session. */
  readonly threads: number;
}

export interface LoopRequest {
  readonly calls: number;
  readonly batch: number;
}

const { network, input, output, shape, threads } = workerData as LoopWork;
const session = await InferenceSession.create(network, { intraOpNumThreads: threads, logSeverityLevel: 4 });
const size = shape.reduce((product, length) => product * length, 1);

parentPort!.on('message', async ({ calls, batch }: LoopRequest) => {
  // Noise: zeros would let an activation function take a shorter way.
  const data = Float32Array.from({ length: batch * size }, (_, i) => ((i * 7919) % 256) / 128 - 1);
  const tensor = new Tensor('float32', data, [batch, ...shape]);
  for (let call = 0; call < calls; call++) await session.run({ [input]: tensor }, [output]);
  parentPort!.postMessage('done');
});
