/** Memory does not grow with a job: what each image would leave behind shows after some thousands. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startDeflector } from '../helpers/cli.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { writeTinyImages } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

const FEW = 1000;
const MANY = 4000;
/**
 * In the first seconds the heaps of V8 grow to their working size, whatever goes by; then the peak stays within a few
 * MB. A leak of 10 kB an image would show.
 */
const TOLERATED_MB = 25;

describe('the memory of a job', { skip: process.platform !== 'linux' && 'read from /proc' }, () => {
  it(`is much the same for ${MANY} images as for ${FEW}`, async t => {
    const folder = await temporaryFolder(t);
    const model = await writeTinyModel(join(folder, 'tiny'));
    const peaks: number[] = [];
    for (const count of [FEW, MANY]) {
      await writeTinyImages(join(folder, String(count)), count);
      const settings = [
        '--model',
        model,
        '--map',
        'uniform',
        '--runs',
        '1',
        '--threads',
        '1',
        '--gallery',
        '0',
        '--quiet',
      ];
      const { child, outcome } = startDeflector(['run', String(count), '--out', `out-${count}`, ...settings], {
        cwd: folder,
      });
      let peak = 0;
      const ended = outcome.then(() => true);
      while (!(await Promise.race([ended, setTimeout(20, false)]))) peak = (await highWater(child.pid!)) ?? peak;
      assert.deepEqual(await outcome, { code: 0, stdout: '', stderr: '' });
      peaks.push(peak);
    }
    const [few, many] = peaks as [number, number];
    assert.ok(few > 0 && many < few + TOLERATED_MB, `${few} MB for ${FEW} images, ${many} MB for ${MANY}`);
    t.diagnostic(`${few} MB for ${FEW} images, ${many} MB for ${MANY}`);
  });
});

/** The most memory that a process has had resident, in MB (proc(5), status, VmHWM). */
async function highWater(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return kilobytes === undefined ? undefined : Math.round(Number(kilobytes) / 1024);
}
