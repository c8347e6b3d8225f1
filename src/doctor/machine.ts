/** Node.js, cores, memory, threads, disk. */
import { once } from 'node:events';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { availableCores, availableMemory, type ContainerLimits, containerLimits } from '../config/cores.js';
import type { Examination } from './finding.js';

/** Node.js has it; the types of ES2023 do not. */
const { WebAssembly } = globalThis as unknown as { WebAssembly: { validate(bytes: Uint8Array): boolean } };

/** The lowest version that package.json's `engines` admits. */
const OLDEST_NODE = [20, 9] as const;

/** One thread with one model and its images takes some 300 MB. */
const LEAST_MEMORY = 512 * 2 ** 20;

/** Room for results and reports of a small job. */
const LEAST_DISK = 256 * 2 ** 20;

/** An exported function of one i8x16.splat: compiles only where WebAssembly has 128-bit SIMD. */
const SIMD_MODULE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11],
);

export function examineNode(version: string = process.versions.node): Examination {
  return {
    id: 'node',
    name: 'Node.js',
    needed: true,
    remedy: `Install Node.js ${OLDEST_NODE.join('.')} or newer.`,
    async examine() {
      const [major = 0, minor = 0] = version.split('.').map(Number);
      if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
        throw new Error(`${version} is too old`);
      }
      return `${version} on ${process.platform} ${process.arch}`;
    },
  };
}

export function examineCores(limits: ContainerLimits = containerLimits()): Examination {
  return {
    id: 'cores',
    name: 'Cores',
    needed: true,
    remedy: 'Set the number of worker threads by --threads.',
    async examine() {
      const quota = limits.cores === undefined ? 'no quota' : `a quota of ${limits.cores}`;
      return `${availableCores(limits)} threads by default: ${availableParallelism()} cores, ${quota}`;
    },
  };
}

export function examineMemory(limits: ContainerLimits = containerLimits(), total: number = totalmem()): Examination {
  return {
    id: 'memory',
    name: 'Memory',
    needed: true,
    remedy: `Give the process at least ${inUnits(LEAST_MEMORY)}.`,
    async examine() {
      const usable = availableMemory(limits, total);
      if (usable < LEAST_MEMORY) throw new Error(`${inUnits(usable)} in all`);
      const limit = limits.memory === undefined ? 'no limit' : `a limit of ${inUnits(limits.memory)}`;
      return `${inUnits(usable)}: ${inUnits(total)} in the machine, ${limit}`;
    },
  };
}

const THREADS: Examination = {
  id: 'threads',
  name: 'Threads and SIMD',
  needed: true,
  remedy: 'Use an official build of Node.js, and allow the container to start threads (ulimit -u, --pids-limit).',
  async examine() {
    const worker = new Worker("require('node:worker_threads').parentPort.postMessage('here')", { eval: true });
    const [answer] = await once(worker, 'message');
    await worker.terminate();
    if (!WebAssembly.validate(SIMD_MODULE)) throw new Error('WebAssembly has no 128-bit SIMD here');
    return `a worker thread is ${answer}, WebAssembly has SIMD`;
  },
};

/** A folder that commands write into. */
export function examineFolder(id: string, name: string, folder: string): Examination {
  return {
    id,
    name,
    needed: true,
    remedy: `Free space in ${folder} or grant permission to write there.`,
    async examine() {
      const probe = await mkdtemp(join(folder, '.deflector-doctor-'));
      try {
        await writeFile(join(probe, 'probe'), 'probe');
      } finally {
        await rm(probe, { recursive: true, force: true });
      }
      const { bavail, bsize } = await statfs(folder);
      if (bavail * bsize < LEAST_DISK) throw new Error(`${folder} has ${inUnits(bavail * bsize)} free`);
      return `${folder} can be written to, ${inUnits(bavail * bsize)} free`;
    },
  };
}

export function machineExaminations(): Examination[] {
  return [
    examineNode(),
    examineCores(),
    examineMemory(),
    THREADS,
    examineFolder('temporary-folder', 'Temporary folder', tmpdir()),
    examineFolder('working-folder', 'Working folder', process.cwd()),
  ];
}

function inUnits(bytes: number): string {
  return bytes < 2 ** 30 ? `${Math.round(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
