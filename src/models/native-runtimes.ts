/**
 * What must be said to the native libraries before they start: they read the environment of the process, which only the
 * main thread can change.
 */
import { isMainThread } from 'node:worker_threads';
import { silenceOnnxRuntime } from './onnx-runtime.js';

/** Whether TensorFlow was shown its GPU: among those that are left it is no longer the one of that number. */
let shown = false;

/**
 * To be called on the main thread before models are opened or threads are started that open them. Who has set a variable
 * is obeyed.
 *
 * @param device which GPU, from 0: TensorFlow is shown that one alone; ONNX Runtime is told by each session
 * @throws DeflectorError as {@link silenceOnnxRuntime}
 */
export function prepareRuntimes({ runtime, device }: { readonly runtime: string; readonly device: number }): void {
  silenceOnnxRuntime();
  if (!isMainThread) return;
  const { env } = process;
  // TensorFlow tells of its instruction sets on standard error, and would keep a thread a core for each session.
  env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  env.TF_NUM_INTRAOP_THREADS ??= '1';
  env.TF_NUM_INTEROP_THREADS ??= '1';
  if (runtime !== 'tfjs-node-gpu' || shown) return;
  shown = true;
  const visible = env.CUDA_VISIBLE_DEVICES?.split(',');
  env.CUDA_VISIBLE_DEVICES = visible === undefined ? String(device) : (visible[device] ?? '');
}
