/** The names of all runtimes: what `--runtime` takes beside `auto`. */

export const ONNX_RUNTIMES = [
  'onnxruntime-cpu',
  'onnxruntime-cuda',
  'onnxruntime-tensorrt',
  'onnxruntime-webgpu',
] as const;

export const TENSORFLOW_RUNTIMES = ['tfjs-node', 'tfjs-node-gpu', 'tfjs-wasm'] as const;

export const RUNTIME_NAMES = [...ONNX_RUNTIMES, ...TENSORFLOW_RUNTIMES] as const;

export type OnnxRuntimeName = (typeof ONNX_RUNTIMES)[number];
export type TensorflowRuntimeName = (typeof TENSORFLOW_RUNTIMES)[number];
export type RuntimeName = (typeof RUNTIME_NAMES)[number];
