import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { find } from '../../src/doctor/finding.js';
import {
  examineCores,
  examineFolder,
  examineMemory,
  examineNode,
  machineExaminations,
} from '../../src/doctor/machine.js';
import { checkLeaks } from '../helpers/leaks.js';
import { REPOSITORY } from '../helpers/repository.js';

checkLeaks();

const GIB = 2 ** 30;

describe('the machine', () => {
  it('that runs these tests works', async () => {
    for (const examination of machineExaminations()) {
      const finding = await find(examination);
      assert.equal(finding.status, 'works', `${finding.name}: ${finding.detail}`);
      assert.equal(finding.remedy, undefined);
    }
  });

  it('needs Node.js 20.9, as package.json says', async () => {
    const statuses = await Promise.all(
      ['18.20.0', '20.8.1', '20.9.0', '22.0.0'].map(async version => (await find(examineNode(version))).status),
    );
    assert.deepEqual(statuses, ['does not work', 'does not work', 'works', 'works']);
  });

  it('tells what the container allows', async () => {
    const limits = { cores: 0.5, memory: GIB };
    assert.match((await find(examineCores(limits))).detail, /^1 threads by default: \d+ cores, a quota of 0.5$/);
    assert.equal(
      (await find(examineMemory(limits, 8 * GIB))).detail,
      '1.0 GiB: 8.0 GiB in the machine, a limit of 1.0 GiB',
    );
    const { status, remedy } = await find(examineMemory({ cores: undefined, memory: GIB / 4 }, 8 * GIB));
    assert.deepEqual([status, remedy], ['does not work', 'Give the process at least 512 MiB.']);
  });

  it('must let commands write, and the look leaves nothing behind', async () => {
    const before = readdirSync(REPOSITORY);
    assert.equal((await find(examineFolder('f', 'F', REPOSITORY))).status, 'works');
    assert.deepEqual(readdirSync(REPOSITORY), before);
    const missing = await find(examineFolder('f', 'F', join(tmpdir(), 'deflector-none', 'none')));
    assert.equal(missing.status, 'does not work');
    assert.match(missing.detail, /ENOENT/);
  });
});
