import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { availableCores, availableMemory, containerLimits } from '../../src/config/cores.js';

/** A machine with these files. */
function machine(files: Readonly<Record<string, string>>): (path: string) => string | undefined {
  return path => files[path];
}

const GIB = 2 ** 30;

describe('the limits of a container', () => {
  it('are those of its control group, version 2', () => {
    const read = machine({
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/cpu.max': '150000 100000\n',
      '/sys/fs/cgroup/memory.max': `${GIB}\n`,
    });
    assert.deepEqual(containerLimits(read), { cores: 1.5, memory: GIB });
  });

  it('are the tightest of the group and its ancestors', () => {
    const read = machine({
      '/proc/self/cgroup': '0::/kubepods/pod1/c1\n',
      '/sys/fs/cgroup/kubepods/pod1/c1/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/kubepods/pod1/cpu.max': '300000 100000\n',
      '/sys/fs/cgroup/kubepods/cpu.max': '700000 100000\n',
      '/sys/fs/cgroup/kubepods/memory.max': 'max\n',
    });
    assert.deepEqual(containerLimits(read), { cores: 3, memory: undefined });
  });

  it('are those of version 1, controllers mounted together or alone', () => {
    const read = machine({
      '/proc/self/cgroup': '5:memory:/docker/c1\n3:cpu,cpuacct:/docker/c1\n1:name=systemd:/docker/c1\n0::/\n',
      '/sys/fs/cgroup/cpu,cpuacct/docker/c1/cpu.cfs_quota_us': '250000\n',
      '/sys/fs/cgroup/cpu,cpuacct/docker/c1/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/memory/docker/c1/memory.limit_in_bytes': `${2 * GIB}\n`,
    });
    assert.deepEqual(containerLimits(read), { cores: 2.5, memory: 2 * GIB });
  });

  it("are found at the mount's root where the process sees the path of its host", () => {
    const read = machine({
      '/proc/self/cgroup': '3:cpu:/docker/c1\n4:memory:/docker/c1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '100000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '50000\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${GIB}\n`,
    });
    assert.deepEqual(containerLimits(read), { cores: 2, memory: GIB });
  });

  it('are none where the groups set none', () => {
    // 2^63 - 1 rounded down to a page: what version 1 says for no limit.
    const read = machine({
      '/proc/self/cgroup': '3:cpu:/\n4:memory:/\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    });
    assert.deepEqual(containerLimits(read), { cores: undefined, memory: undefined });
  });

  it('are none where there are no control groups at all, as on other systems', () => {
    assert.deepEqual(containerLimits(machine({})), { cores: undefined, memory: undefined });
  });

  it('survive files that make no sense', () => {
    const read = machine({
      '/proc/self/cgroup': 'x\n0::/\n3:cpu:/\n',
      '/sys/fs/cgroup/cpu.max': '\n',
      '/sys/fs/cgroup/memory.max': 'lots\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '100000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '0\n',
    });
    assert.deepEqual(containerLimits(read), { cores: undefined, memory: undefined });
  });
});

describe('the cores and the memory that the process may use', () => {
  it("are the machine's where nothing limits them", () => {
    const none = { cores: undefined, memory: undefined };
    assert.equal(availableCores(none, 8), 8);
    assert.equal(availableMemory(none, 4 * GIB), 4 * GIB);
  });

  it('are at most the limits, a fraction of a core counting as one', () => {
    assert.equal(availableCores({ cores: 1.5, memory: undefined }, 8), 2);
    assert.equal(availableCores({ cores: 0.1, memory: undefined }, 8), 1);
    assert.equal(availableCores({ cores: 16, memory: undefined }, 8), 8);
    assert.equal(availableMemory({ cores: undefined, memory: GIB }, 4 * GIB), GIB);
    assert.equal(availableMemory({ cores: undefined, memory: 8 * GIB }, 4 * GIB), 4 * GIB);
  });
});
