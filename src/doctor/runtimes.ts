/** What executes models: ONNX Runtime on the CPU with the bundled model, its GPU providers, TensorFlow.js. */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { openModel } from '../models/registry.js';
import { openClassifier } from '../models/runtimes.js';
import { type Examination, NotConfigured } from './finding.js';

const PROBE = fileURLToPath(new URL('./probe-provider.js', import.meta.url));
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
      const classifier = await openClassifier(await openModel(model), { runtime: 'onnxruntime-cpu' });
      try {
        const { width, height } = classifier.preprocessing;
        const input = new Float32Array(3 * width * height);
        await classifier.classify(input, 1, false);
        const started = performance.now();
        await classifier.classify(input, 1, false);
        return `${model} runs, ${(performance.now() - started).toFixed(1)} ms an image on one thread`;
      } finally {
        await classifier.dispose();
      }
    },
  };
}

function examineProvider(provider: string, name: string, remedy: string): Examination {
  return {
    id: `onnxruntime-${provider}`,
    name,
    needed: false,
    remedy,
    examine: () =>
      new Promise((resolve, reject) => {
        execFile(process.execPath, [PROBE, provider], { timeout: PROBE_TIMEOUT_MS }, (error, _, stderr) => {
          if (error === null) resolve('a small network runs');
          else reject(new Error(reasonOf(error, stderr)));
        });
      }),
  };
}

/** Of all that a failing provider prints: the library that is missing, else the message of the exception. */
function reasonOf(error: { readonly killed?: boolean; readonly signal?: string | null }, stderr: string): string {
  if (error.killed) return `no answer within ${PROBE_TIMEOUT_MS / 1000} s`;
  const [, library] = /([\w.+-]+): cannot open shared object file/.exec(stderr) ?? [];
  if (library !== undefined) return `${library} is missing`;
  const [, message] = /^\w*Error: (?:.*was false\. )?(.*)$/m.exec(stderr) ?? [];
  return message?.slice(0, 300) ?? `the probe ended by ${error.signal ?? 'itself without a message'}`;
}

/** A package that is there or not; it is not loaded. */
function examinePackage(id: string, name: string): Examination {
  return {
    id,
    name,
    needed: false,
    remedy: `Nothing needs it; to have it: npm install ${name}`,
    async examine() {
      try {
        createRequire(import.meta.url).resolve(`${name}/package.json`);
      } catch {
        throw new NotConfigured('not installed');
      }
      return 'installed';
    },
  };
}

export function runtimeExaminations(model: string): Examination[] {
  return [
    examineModelRun(model),
    examineProvider(
      'cuda',
      'ONNX Runtime, CUDA',
      'Nothing needs it. An NVIDIA GPU with its driver, CUDA 12 and cuDNN 9; then the provider: ' +
        'ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node --ignore-scripts=false',
    ),
    examineProvider(
      'tensorrt',
      'ONNX Runtime, TensorRT',
      'Nothing needs it. All that CUDA asks for, and the libraries of TensorRT 10 on LD_LIBRARY_PATH.',
    ),
    examineProvider(
      'webgpu',
      'ONNX Runtime, WebGPU',
      'Nothing needs it. A GPU with a Vulkan, Metal or Direct3D 12 driver (Linux: libvulkan1 and the driver of the GPU).',
    ),
    examinePackage('tfjs-node', '@tensorflow/tfjs-node'),
    examinePackage('tfjs-node-gpu', '@tensorflow/tfjs-node-gpu'),
  ];
}
