/**
 * The one door to ONNX Runtime. Its builds for Linux and macOS from 1.30 on report each use to their maker: they keep a
 * device identifier and a queue of events below the user's cache folder and send them. Only the environment variable
 * ORT_DISABLE_TELEMETRY stops that, and only before the native library starts.
 */
import { isMainThread } from 'node:worker_threads';
import { DeflectorError } from '../errors.js';

export type OnnxRuntime = typeof import('onnxruntime-node');

const SWITCH = 'ORT_DISABLE_TELEMETRY';

/**
 * Keeps ONNX Runtime from reporting its use. To be called on the main thread before threads are started that run models:
 * a thread sees a copy of the environment and cannot change that of the process. Who has set the variable is obeyed.
 *
 * @throws DeflectorError RUNTIME_UNAVAILABLE on another thread, where the variable was not set in time
 */
export function silenceOnnxRuntime(): void {
  if (process.env[SWITCH] !== undefined) return;
  if (!isMainThread) {
    throw new DeflectorError(
      'RUNTIME_UNAVAILABLE',
      `ONNX Runtime would report its use from this thread: set ${SWITCH}=1 in the environment of the process (0 allows it)`,
    );
  }
  process.env[SWITCH] = '1';
}

/**
 * Loads ONNX Runtime, which costs tens of megabytes and some 100 ms: only when a model is made live.
 *
 * @throws DeflectorError RUNTIME_UNAVAILABLE where its native library does not load, and as {@link silenceOnnxRuntime}
 */
export async function loadOnnxRuntime(): Promise<OnnxRuntime> {
  silenceOnnxRuntime();
  try {
    return await import('onnxruntime-node');
  } catch (cause) {
    throw new DeflectorError('RUNTIME_UNAVAILABLE', 'ONNX Runtime does not load on this machine', { cause });
  }
}
