/** What figures were measured on. */
import { arch, cpus, loadavg, platform } from 'node:os';
import { env } from 'onnxruntime-node';
import sharp from 'sharp';
import { availableCores, availableMemory } from '../../src/config/cores.js';
import { VERSION } from '../../src/version.js';

export interface Machine {
  readonly cpu: string;
  /** What the process may really use, a container's quota included. */
  readonly cores: number;
  readonly memoryGiB: number;
  readonly platform: string;
  /** Of the last minute, before anything was measured. */
  readonly load: number;
  readonly node: string;
  readonly deflector: string;
  readonly onnxruntime: string;
  readonly sharp: string;
  readonly date: string;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: availableCores(),
    memoryGiB: Math.round((availableMemory() / 2 ** 30) * 10) / 10,
    platform: `${platform()}-${arch()}`,
    load: loadavg()[0]!,
    node: process.versions.node,
    deflector: VERSION,
    onnxruntime: env.versions.node ?? '',
    sharp: sharp.versions.sharp ?? '',
    date: new Date().toISOString(),
  };
}
