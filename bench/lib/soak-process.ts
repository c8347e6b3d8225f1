/**
 * Calls one runtime over and over: `node --expose-gc soak-process.js RUNTIME MODEL CALLS REOPEN`. A process of its own, so that
 * its memory is that of the runtime. Prints one JSON value.
 */
import { readFileSync } from 'node:fs';
import { prepareRuntimes } from '../../src/models/native-runtimes.js';
import { openModel } from '../../src/models/registry.js';
import type { RuntimeName, TensorflowRuntimeName } from '../../src/models/runtime-names.js';
import { runtimeCalled } from '../../src/models/runtimes.js';
import { loadTensorflow } from '../../src/models/tfjs/tensorflow.js';
import type { Classifier } from '../../src/types.js';
import type { SoakSample } from './soak.js';

/** Samples of memory over the whole. */
const SAMPLES = 20;
/** Sizes that the batches take in turn. */
const BATCHES = [1, 4, 2, 3, 8];

const [, , name = '', folder = '', callsText = '', reopenText = ''] = process.argv;
const runtime = name as RuntimeName;
const [calls, reopen] = [Number(callsText), Number(reopenText)];

prepareRuntimes({ runtime, device: 0 });
const model = await openModel(folder);
const tensors = runtime.startsWith('tfjs-')
  ? (await loadTensorflow(runtime as TensorflowRuntimeName)).tf.memory
  : undefined;
const { width, height } = model.preprocessing;
const largest = Float32Array.from({ length: Math.max(...BATCHES) * 3 * width * height }, (_, i) => Math.sin(i * 0.37));
const images = (count: number) => largest.subarray(0, count * 3 * width * height);

let live = 0;
async function opened(): Promise<Classifier> {
  const classifier = await runtimeCalled(runtime).open(model, { threads: 1, device: 0 });
  live++;
  return classifier;
}
async function disposed(classifier: Classifier): Promise<void> {
  await classifier.dispose();
  live--;
}

function sample(call: number): SoakSample {
  (globalThis as { gc?: () => void }).gc?.();
  return { call, rss: process.memoryUsage.rss(), sessions: live, tensors: tensors?.().numTensors, threads: threads() };
}

/** Threads of the process, which sessions that were not released would keep. */
function threads(): number | undefined {
  try {
    return Number(/^Threads:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}

const samples: SoakSample[] = [];
let classifier = await opened();
for (let call = 0; call < calls; call++) {
  if (call % Math.ceil(calls / SAMPLES) === 0) samples.push(sample(call));
  if (call > 0 && call % reopen === 0) {
    await disposed(classifier);
    classifier = await opened();
  }
  const count = BATCHES[call % BATCHES.length]!;
  await classifier.classify(images(count), count, call % 2 === 0 && classifier.head !== undefined);
}
samples.push(sample(calls));
await disposed(classifier);
process.stdout.write(JSON.stringify({ samples, end: sample(calls) }));
