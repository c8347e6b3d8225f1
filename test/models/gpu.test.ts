import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgeProfile, parseNvidiaGpu } from '../../src/models/gpu.js';

/** Events of ONNX Runtime's profiler, in the form that its version 1.30 writes. */
function ran(provider: string, operator: string) {
  return { cat: 'Node', name: 'x_kernel_time', args: { provider, op_name: operator } };
}

describe("the judgement of ONNX Runtime's profile", () => {
  const session = { cat: 'Session', name: 'model_run', args: {} };
  const conv = ran('CUDAExecutionProvider', 'Conv');

  it('counts operators on the device and on the host; what counts dimensions may stay there', () => {
    const profile = [session, conv, conv, ran('CUDAExecutionProvider', 'Gemm'), ran('CPUExecutionProvider', 'Shape')];
    assert.deepEqual(judgeProfile(profile, 'cuda', 'onnxruntime-cuda'), { device: 3, host: 1 });
  });

  it('refuses convolutions and matrix products on the host, by number and name', () => {
    const profile = [conv, ran('CPUExecutionProvider', 'Conv'), ran('CPUExecutionProvider', 'MatMul')];
    assert.throws(() => judgeProfile(profile, 'cuda', 'onnxruntime-cuda'), {
      code: 'RUNTIME_UNAVAILABLE',
      message: 'onnxruntime-cuda ran not 1 Conv, 1 MatMul of the network on the device that it was asked for',
    });
  });

  it('refuses a network of which nothing ran on the device', () => {
    for (const profile of [[], {}, [session], [ran('CPUExecutionProvider', 'Relu')]]) {
      assert.throws(() => judgeProfile(profile, 'webgpu', 'onnxruntime-webgpu'), { code: 'RUNTIME_UNAVAILABLE' });
    }
  });

  it('lets CUDA have what TensorRT leaves, but not all', () => {
    const engine = ran('TensorrtExecutionProvider', 'TRTKernel_graph_0');
    assert.deepEqual(judgeProfile([engine, conv], 'tensorrt', 'onnxruntime-tensorrt'), { device: 2, host: 0 });
    assert.throws(() => judgeProfile([conv], 'tensorrt', 'onnxruntime-tensorrt'), { code: 'RUNTIME_UNAVAILABLE' });
  });
});

describe("nvidia-smi's line", () => {
  it('gives name, memory in bytes, driver', () => {
    // As `nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits` prints it.
    assert.deepEqual(parseNvidiaGpu('NVIDIA H200, 143771, 570.124.06\n'), {
      ...{ name: 'NVIDIA H200', memory: 143_771 * 2 ** 20, driver: '570.124.06' },
    });
  });

  it('may lack the memory, or be none', () => {
    assert.equal(parseNvidiaGpu('NVIDIA Thor, [N/A], 580.1')?.memory, undefined);
    assert.equal(parseNvidiaGpu('No devices were found\n'), undefined);
    assert.equal(parseNvidiaGpu(''), undefined);
  });
});
