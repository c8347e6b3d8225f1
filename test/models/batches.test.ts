import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { MemoryLimit } from '../../src/models/batches.js';
import { makeClassifier, type NetworkRunner } from '../../src/models/network-classifier.js';
import { behindBody, CLASSES, HEAD, images, modelOf } from './onnx/builder.js';

/** What runtimes were reported to say, path names shortened. */
const MESSAGES = [
  // ONNX Runtime's arena (microsoft/onnxruntime, issues 9939 and 22702).
  "Non-zero status code returned while running FusedConv node. Name:'Conv_3' Status Message: bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*, bool, onnxruntime::WaitNotificationFn) Failed to allocate memory for requested buffer of size 643840",
  'CUDA failure 2: out of memory ; GPU=0 ; hostname=h ; expr=cudaMalloc((void**)&p, size);',
  // cuBLAS and cuDNN by way of ONNX Runtime (microsoft/onnxruntime, issue 16512).
  'CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=h ; expr=cublasCreate(&cublas_handle_);',
  'CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0',
  // TensorFlow.
  'OOM when allocating tensor with shape[256,64,112,112] and type float on /device:GPU:0 by allocator GPU_0_bfc',
  'failed to allocate 32.00M (33554432 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory',
  // Vulkan.
  'vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY',
];

/** Warnings of the process while the test runs. */
function warnings(t: Pick<TestContext, 'mock'>): string[] {
  const told: string[] = [];
  t.mock.method(process, 'emitWarning', (message: string, { code }: { code: string }) =>
    told.push(`${code} ${message}`),
  );
  return told;
}

describe('a batch that memory does not hold', () => {
  for (const message of MESSAGES) {
    it(`is halved after "${message.slice(-60)}"`, async t => {
      const told = warnings(t);
      const limit = new MemoryLimit('onnxruntime-cuda');
      const sizes: number[] = [];
      const run = async (_: number, images: number) => {
        sizes.push(images);
        if (images > 5) throw new Error(message);
      };
      await limit.split(16, run);
      assert.deepEqual(sizes, [16, 8, 4, 4, 4, 4]);
      assert.deepEqual(told, [
        'BATCH_LOWERED onnxruntime-cuda ran out of memory on 16 images: from now on 8 at a time',
        'BATCH_LOWERED onnxruntime-cuda ran out of memory on 8 images: from now on 4 at a time',
      ]);
      // What it learnt it keeps.
      await limit.split(6, run);
      assert.deepEqual(sizes.slice(6), [4, 2]);
    });
  }

  it('is cut into parts that hold each image once, in their order, whatever the memory holds', t => {
    warnings(t);
    return fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300 }), async (count, room) => {
        const done: number[] = [];
        const parts = await new MemoryLimit('x').split(count, async (start, images) => {
          if (images > room) throw new Error(MESSAGES[0]);
          for (let i = 0; i < images; i++) done.push(start + i);
          return images;
        });
        assert.deepEqual(
          done,
          Array.from({ length: count }, (_, i) => i),
        );
        assert.ok(parts.every(images => images <= room));
      }),
    );
  });

  it('is given up where one image does not fit, or the fault is another', async t => {
    const told = warnings(t);
    const fails = (message: string) => async () => {
      throw new Error(message);
    };
    await assert.rejects(new MemoryLimit('x').split(1, fails(MESSAGES[0]!)), /Failed to allocate/);
    await assert.rejects(new MemoryLimit('x').split(8, fails('CUDA failure 700: an illegal memory access')), /700/);
    assert.deepEqual(told, []);
  });
});

describe('a classifier whose device runs out of memory', () => {
  it('gives what it would give with more of it', async t => {
    const told = warnings(t);
    const model = modelOf(behindBody(HEAD.nodes, HEAD.tensors));
    const { head: _, ...network } = model.network;
    const runner: NetworkRunner = {
      async run(input, count) {
        if (count > 3) throw new Error(MESSAGES[0]);
        const length = input.length / count;
        const sums = Array.from({ length: count }, (_, i) => input[i * length]! + input[i * length + 1]!);
        return { scores: Float32Array.from(sums.flatMap(sum => Array(CLASSES).fill(sum))), features: undefined };
      },
      release: async () => undefined,
    };
    const headless = { ...model, network: { ...network, head: undefined, headless: 'of a stub' } };
    const classifier = await makeClassifier(headless, 'onnxruntime-cuda', runner);
    const input = images(8);
    const length = input.length / 8;
    const { scores } = await classifier.classify(input, 8, false);
    for (let i = 0; i < 8; i++)
      assert.equal(scores[i * CLASSES], Math.fround(input[i * length]! + input[i * length + 1]!));
    assert.equal(scores.length, 8 * CLASSES);
    assert.match(told.at(-1)!, /^BATCH_LOWERED onnxruntime-cuda with the model sketch ran out of memory on 4 images/);
    await classifier.dispose();
  });
});
