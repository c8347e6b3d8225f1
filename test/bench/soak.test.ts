/** Runtimes keep nothing of what they were called with. A leaner run of `deflector bench runtimes`. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { growthPerCall, type SoakSample, soak } from '../../bench/lib/soak.js';
import { writeTinyTensorflowModel } from '../../bench/lib/tiny-tensorflow-model.js';
import { temporaryFolder } from '../helpers/files.js';
import { tensorflowFolder } from '../helpers/tensorflow.js';

const CALLS = 300;

/** Bytes. A call that kept its images would grow by over 2 MB (ONNX) or 40 kB (TensorFlow.js), of 3.6 images on average. */
const ONNX_GROWTH = 500_000;
const TENSORFLOW_GROWTH = 30_000;

describe('a runtime under many calls', () => {
  for (const [runtime, limit] of [
    ['onnxruntime-cpu', ONNX_GROWTH],
    ['tfjs-node', TENSORFLOW_GROWTH],
    ['tfjs-wasm', TENSORFLOW_GROWTH],
  ] as const) {
    it(`${runtime} keeps no session, tensor, thread or memory`, async t => {
      const isOnnx = runtime === 'onnxruntime-cpu';
      if (!isOnnx) tensorflowFolder();
      const model = isOnnx ? 'efficientnet-lite0-int8' : await writeTinyTensorflowModel(await temporaryFolder(t));
      const { samples, end } = await soak(runtime, model, CALLS, 100);
      const [, second] = samples;
      const last = samples.at(-1)!;
      assert.deepEqual([second!.sessions, last.sessions, end.sessions], [1, 1, 0]);
      assert.equal(last.tensors, samples[0]!.tensors);
      assert.equal(end.tensors, isOnnx ? undefined : 0);
      assert.equal(last.threads, second!.threads);
      assert.ok(growthPerCall(samples) < limit, `${growthPerCall(samples)} bytes a call`);
    });
  }
});

describe('the growth of memory', () => {
  it('is the slope behind the warming up', () => {
    const sample = (call: number, rss: number): SoakSample => ({ call, rss, sessions: 1 });
    const steady = Array.from({ length: 20 }, (_, i) => sample(i * 10, i < 5 ? i * 1e6 : 5e6));
    assert.equal(growthPerCall(steady), 0);
    assert.equal(growthPerCall(Array.from({ length: 20 }, (_, i) => sample(i * 10, i * 70))), 7);
  });
});
