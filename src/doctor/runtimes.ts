/** What executes models: ONNX Runtime on the CPU with the bundled model, and every other runtime with a small network. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { isOnnx } from '../models/model.js';
import { openModel } from '../models/registry.js';
import type { RuntimeName, TensorflowRuntimeName } from '../models/runtime-names.js';
import { openClassifier } from '../models/runtimes.js';
import { hasTensorflow, TENSORFLOW_PACKAGES } from '../models/tfjs/tensorflow.js';
import { type Examination, NotConfigured } from './finding.js';

const PROBE = fileURLToPath(new URL('./probe-runtime.js', import.meta.url));
const PROBE_TIMEOUT_MS = 30_000;

/** Runs a model on one image of zeros. */
function examineModelRun(model: string): Examination {
  return {
    id: 'onnxruntime-cpu',
    name: 'ONNX Runtime, CPU',
    needed: true,
    remedy:
      'Install again (npm ci). onnxruntime-node needs Linux with glibc 2.28, macOS 14 or Windows 10, x64 or arm64.',
    async examine() {
      const opened = await openModel(model);
      const classifier = await openClassifier(opened, { runtime: isOnnx(opened) ? 'onnxruntime-cpu' : 'auto' });
      try {
        const { width, height } = classifier.preprocessing;
        const input = new Float32Array(3 * width * height);
        await classifier.classify(input, 1, false);
        const started = performance.now();
        await classifier.classify(input, 1, false);
        return `${model} runs${isOnnx(opened) ? '' : ` on ${classifier.runtime}`}, ${(performance.now() - started).toFixed(1)} ms an image on one thread`;
      } finally {
        await classifier.dispose();
      }
    },
  };
}

/** Computes on a runtime in a process of its own. */
function examineRuntime(id: RuntimeName, name: string, remedy: string): Examination {
  return {
    id,
    name,
    needed: false,
    remedy: `Nothing needs it. ${remedy}`,
    examine: async () => {
      if (isTensorflow(id) && !hasTensorflow(id)) throw new NotConfigured('not installed');
      return `a small network runs, ${await tryRuntime(id)}`;
    },
  };
}

/**
 * Computes on a runtime in a process of its own.
 *
 * @param device which GPU, from 0
 * @returns its versions
 * @throws Error saying what is missing
 */
export function tryRuntime(id: RuntimeName, device = 0): Promise<string> {
  const options = { timeout: PROBE_TIMEOUT_MS };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [PROBE, id, String(device)], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(reasonOf(error, stderr)));
    });
  });
}

function isTensorflow(id: RuntimeName): id is TensorflowRuntimeName {
  return id.startsWith('tfjs-');
}

/** Of all that a failing provider prints: the library that is missing, else the message of the exception. */
function reasonOf(error: { readonly killed?: boolean; readonly signal?: string | null }, stderr: string): string {
  if (error.killed) return `no answer within ${PROBE_TIMEOUT_MS / 1000} s`;
  const [, library] = /([\w.+-]+): cannot open shared object file/.exec(stderr) ?? [];
  if (library !== undefined) return `${library} is missing`;
  const [, message] =
    /^\w*Error(?: \[\w+\])?: (?:.*? does not work here: )?(?:.*was false\. )?(.*)$/m.exec(stderr) ?? [];
  return message?.slice(0, 300) ?? `the probe ended by ${error.signal ?? 'itself without a message'}`;
}

export function runtimeExaminations(model: string): Examination[] {
  return [
    examineModelRun(model),
    examineRuntime(
      'onnxruntime-cuda',
      'ONNX Runtime, CUDA',
      'An NVIDIA GPU with its driver, CUDA 12 and cuDNN 9; then the provider: ' +
        'ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node --ignore-scripts=false',
    ),
    examineRuntime(
      'onnxruntime-tensorrt',
      'ONNX Runtime, TensorRT',
      'All that CUDA asks for, and the libraries of TensorRT 10 on LD_LIBRARY_PATH.',
    ),
    examineRuntime(
      'onnxruntime-webgpu',
      'ONNX Runtime, WebGPU',
      'A GPU with a Vulkan, Metal or Direct3D 12 driver (Linux: libvulkan1 and the driver of the GPU).',
    ),
    examineRuntime(
      'tfjs-node',
      'TensorFlow.js, native',
      'For TensorFlow.js models: npm install @tensorflow/tfjs-node@4, on Node.js 20 or 22; docs/runtimes.md tells other ways.',
    ),
    examineRuntime(
      'tfjs-node-gpu',
      'TensorFlow.js, CUDA',
      'For TensorFlow.js models on an NVIDIA GPU: npm install @tensorflow/tfjs-node-gpu@4, and CUDA with cuDNN; see docs/runtimes.md.',
    ),
    examineRuntime(
      'tfjs-wasm',
      'TensorFlow.js, WASM',
      `For TensorFlow.js models: npm install ${TENSORFLOW_PACKAGES['tfjs-wasm'].map(name => `${name}@4`).join(' ')}`,
    ),
  ];
}
