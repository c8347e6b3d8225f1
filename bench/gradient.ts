/**
 * What a gradient costs, in forward passes of the same model on one thread.
 *
 *     node dist/bench/gradient.js [MODEL]
 *
 * Processor time, so that a busy machine gives the same ratio. Prints JSON.
 */
import { requireOnnx } from '../src/models/model.js';
import { createOnnxDifferentiableClassifier } from '../src/models/onnx-gradient.js';
import { openModel } from '../src/models/registry.js';
import type { LogitLoss } from '../src/types.js';

const ROUNDS = 40;

const model = requireOnnx(await openModel(process.argv[2] ?? 'efficientnet-lite0'));
const classifier = await createOnnxDifferentiableClassifier(model, { provider: 'cpu', runtime: 'onnxruntime-cpu' });
const size = 3 * model.preprocessing.width * model.preprocessing.height;

for (const batch of [1, 4, 8]) {
  const input = Float32Array.from({ length: batch * size }, (_, i) => Math.sin(i * 0.11) * Math.cos(i * 0.0013));
  const losses: LogitLoss[] = Array.from({ length: batch }, () => ({ kind: 'cross-entropy', label: 0 }));
  const forward: number[] = [];
  const gradient: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    forward.push(await processorMs(() => classifier.classify(input, batch, false)));
    gradient.push(await processorMs(() => classifier.gradient(input, losses)));
  }
  const [forwardMs, gradientMs] = [forward, gradient].map(times => median(times) / batch) as [number, number];
  const figures = { model: model.identity.name, batch, forwardMs, gradientMs, forwardPasses: gradientMs / forwardMs };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}
await classifier.dispose();

async function processorMs(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
