/** The bundled model on photographs: what must not change the results does not. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { deflector } from '../helpers/cli.js';
import { checkLeaks } from '../helpers/leaks.js';
import { REPOSITORY } from '../helpers/repository.js';
import { timelessLines, verdictsOf } from '../helpers/results.js';

checkLeaks();

describe('the verdicts on the sample images', () => {
  let folder: string;
  const run = async (out: string, ...settings: string[]) => {
    const args = ['run', 'samples', '--out', join(folder, out), '--seed', '1', '--quiet', '--gallery', '0'];
    assert.deepEqual(await deflector([...args, ...settings], { cwd: REPOSITORY }), { code: 0, stdout: '', stderr: '' });
    return timelessLines(join(folder, out, 'results.jsonl'));
  };
  let expected: string[];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deflector-test-'));
    expected = await run('expected', '--threads', '1', '--batch', '1');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const settings of [
    ['--threads', '1', '--batch', '8'],
    ['--threads', '1', '--batch', '32'],
    ['--threads', '4', '--batch', '8'],
  ]) {
    it(`are the same bytes with ${settings.join(' ')}`, async () => {
      assert.deepEqual(await run(settings.join(''), ...settings), expected);
    });
  }

  it('are other ones under another seed, with much the same labels', async () => {
    assert.notDeepEqual(await run('other', '--seed', '2'), expected);
    const [first, other] = await Promise.all(
      ['expected', 'other'].map(name => labelsOf(join(folder, name, 'results.jsonl'))),
    );
    const same = first!.filter((label, i) => label === other![i]).length;
    assert.ok(same >= first!.length - 2, `${same} of ${first!.length}`);
  });
});

async function labelsOf(path: string): Promise<(number | undefined)[]> {
  return (await verdictsOf(path)).map(verdict => (verdict.status === 'ok' ? verdict.label.index : undefined));
}
