/** The truth about a GPU: which one it is, and whether the operators of a network ran there. */
import { execFile } from 'node:child_process';
import { DeflectorError } from '../errors.js';
import type { Device } from '../types.js';

/** What nvidia-smi tells of a GPU. */
export type NvidiaGpu = Pick<Device, 'name' | 'memory' | 'driver'>;

const QUERY = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader,nounits'];
const QUERY_TIMEOUT_MS = 10_000;

/**
 * Asks the NVIDIA driver for a GPU.
 *
 * @param index of the GPU as CUDA counts them: among those that CUDA_VISIBLE_DEVICES leaves, where it is set
 * @returns `undefined` where there is no nvidia-smi, no driver behind it, or no such GPU
 */
export function queryNvidiaGpu(index: number, env: NodeJS.ProcessEnv = process.env): Promise<NvidiaGpu | undefined> {
  const visible = env.CUDA_VISIBLE_DEVICES;
  const id = visible ? visible.split(',')[index]?.trim() : String(index);
  if (id === undefined || id === '') return Promise.resolve(undefined);
  return new Promise(resolve => {
    execFile('nvidia-smi', [`--id=${id}`, ...QUERY], { timeout: QUERY_TIMEOUT_MS, env }, (error, stdout) => {
      resolve(error === null ? parseNvidiaGpu(stdout) : undefined);
    });
  });
}

/** Reads the line of a GPU that nvidia-smi prints: `name, MiB of memory, driver`. */
export function parseNvidiaGpu(text: string): NvidiaGpu | undefined {
  const [name, mebibytes, driver] = (text.split('\n')[0] ?? '').split(',').map(part => part.trim());
  if (!name || driver === undefined) return undefined;
  const memory = Number(mebibytes) * 2 ** 20;
  return { name, driver, memory: memory > 0 ? memory : undefined };
}

/** Names in ONNX Runtime's profiles of the providers that a runtime computes on, the one asked for first. */
const PROFILE_PROVIDERS: Readonly<Record<string, readonly string[]>> = {
  cuda: ['CUDAExecutionProvider'],
  tensorrt: ['TensorrtExecutionProvider', 'CUDAExecutionProvider'],
  webgpu: ['WebGpuExecutionProvider'],
};

/** Operators that are the work of a network. What counts dimensions may well stay on the host. */
const HEAVY = /Conv|Gemm|MatMul|Attention/;

interface ProfileEvent {
  readonly cat?: string;
  readonly args?: { readonly provider?: string; readonly op_name?: string };
}

/**
 * Judges a profile of ONNX Runtime: convolutions and matrix products must have run on the provider.
 *
 * @param profile parsed JSON
 * @returns operators that ran on the provider, and on the host
 * @throws DeflectorError RUNTIME_UNAVAILABLE naming the operators that did not
 */
export function judgeProfile(profile: unknown, provider: string, runtime: string): Device['operators'] {
  const events = (Array.isArray(profile) ? profile : []) as readonly ProfileEvent[];
  const expected = PROFILE_PROVIDERS[provider] ?? [];
  const left = new Map<string, number>();
  let device = 0;
  let first = 0;
  let host = 0;
  for (const { cat, args } of events) {
    if (cat !== 'Node' || args?.provider === undefined) continue;
    const { provider: where, op_name: operator = '' } = args;
    if (where === expected[0]) first++;
    if (expected.includes(where)) {
      device++;
      continue;
    }
    host++;
    if (HEAVY.test(operator)) left.set(operator, (left.get(operator) ?? 0) + 1);
  }
  if (left.size > 0 || first === 0) {
    const what =
      left.size === 0
        ? `none of ${device + host} operators of the network`
        : `not ${[...left].map(([operator, count]) => `${count} ${operator}`).join(', ')} of the network`;
    throw new DeflectorError('RUNTIME_UNAVAILABLE', `${runtime} ran ${what} on the device that it was asked for`);
  }
  return { device, host };
}
