/**
 * Tries one execution provider of ONNX Runtime: `node probe-provider.js PROVIDER`. A process of its own, since a
 * provider without its libraries or its driver may write to standard error, hang, or abort.
 */
import { loadOnnxRuntime } from '../models/onnx-runtime.js';

/** An ONNX model, opset 17: y = x + x, four floats. */
const DOUBLING = Buffer.from(
  'CAg6NQoOCgF4CgF4EgF5IgNBZGQSAWdaDwoBeBIKCggIARIECgIIBGIPCgF5EgoKCAgBEgQKAggEQgIQEQ==',
  'base64',
);

const { InferenceSession, Tensor } = await loadOnnxRuntime();
const session = await InferenceSession.create(DOUBLING, {
  executionProviders: [process.argv[2] ?? 'cpu'],
  // Without this an operator that the provider cannot run goes to the CPU in silence.
  extra: { session: { disable_cpu_ep_fallback: '1' } },
});
const { y } = await session.run({ x: new Tensor('float32', Float32Array.of(1, 2, 3, 4)) });
const values = Array.from((await y?.getData()) as Float32Array);
if (values.join() !== '2,4,6,8') throw new Error(`1,2,3,4 doubled gave ${values}`);
