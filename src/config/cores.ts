/**
 * What the process may really use of its machine. Node.js counts the cores that the scheduler lets it run on,
 * but a container's quota lives in its control group: Linux kernel documentation, `cgroup-v2` (cpu.max, memory.max)
 * and `cgroup-v1` (cpu.cfs_quota_us, memory.limit_in_bytes).
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { posix } from 'node:path';

/** Reads a file of the machine; `undefined` where it cannot be read. */
export type ReadMachineFile = (path: string) => string | undefined;

export interface ContainerLimits {
  /** CPU time a second, in cores; may be a fraction. `undefined`: no quota. */
  readonly cores: number | undefined;
  /** Bytes; `undefined`: no limit. */
  readonly memory: number | undefined;
}

/** @returns the tightest limits of the process's control groups and their ancestors, version 1 and 2 */
export function containerLimits(read: ReadMachineFile = readMachineFile): ContainerLimits {
  const cores: number[] = [];
  const memory: number[] = [];
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    // A container with its own mount but no namespace of its own sees the host's path, which is not below its mount:
    // the walk up to the mount's root finds the container's own files then.
    for (const group of upwards(path)) {
      if (controllers === '') {
        cores.push(quotaV2(read(`/sys/fs/cgroup${group}/cpu.max`)));
        memory.push(bytes(read(`/sys/fs/cgroup${group}/memory.max`)));
      } else {
        const names = controllers.split(',');
        const mount = `/sys/fs/cgroup/${controllers}${group}`;
        if (names.includes('cpu')) {
          cores.push(quotaV1(read(`${mount}/cpu.cfs_quota_us`), read(`${mount}/cpu.cfs_period_us`)));
        }
        if (names.includes('memory')) memory.push(bytes(read(`${mount}/memory.limit_in_bytes`)));
      }
    }
  }
  return { cores: tightest(cores), memory: tightest(memory) };
}

/** Threads worth starting: the cores of the scheduler's mask, at most the quota rounded up; at least 1. */
export function availableCores(
  limits: ContainerLimits = containerLimits(),
  parallelism: number = availableParallelism(),
): number {
  return Math.max(1, Math.min(parallelism, Math.ceil(limits.cores ?? parallelism)));
}

/** Bytes of memory that the process may use in all: those of the machine, at most the container's limit. */
export function availableMemory(limits: ContainerLimits = containerLimits(), total: number = totalmem()): number {
  return Math.min(total, limits.memory ?? total);
}

function readMachineFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function* upwards(path: string): Generator<string> {
  for (let group = posix.normalize(path); group !== '/' && group !== '.'; group = posix.dirname(group)) yield group;
  yield '';
}

/** cpu.max: '$MAX $PERIOD', $MAX being 'max' where there is no quota. */
function quotaV2(content: string | undefined): number {
  const [quota, period] = (content ?? 'max').trim().split(/\s+/);
  return quota === 'max' ? Number.POSITIVE_INFINITY : Number(quota) / Number(period ?? 100_000);
}

/** cpu.cfs_quota_us: -1 where there is no quota. */
function quotaV1(quota: string | undefined, period: string | undefined): number {
  const microseconds = Number(quota ?? -1);
  return microseconds > 0 ? microseconds / Number(period ?? 100_000) : Number.POSITIVE_INFINITY;
}

/** 'max' in version 2, a number near 2^63 in version 1, where there is no limit. */
function bytes(content: string | undefined): number {
  const limit = Number((content ?? 'max').trim());
  return Number.isSafeInteger(limit) ? limit : Number.POSITIVE_INFINITY;
}

function tightest(values: readonly number[]): number | undefined {
  const finite = values.filter(value => Number.isFinite(value) && value > 0);
  return finite.length > 0 ? Math.min(...finite) : undefined;
}
