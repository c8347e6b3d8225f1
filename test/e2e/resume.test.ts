/** Jobs that are killed or interrupted, at moments of chance, and resumed until they are done. */
import assert from 'node:assert/strict';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { deflector, type Outcome, startDeflector } from '../helpers/cli.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { digestsBelow, timelessLines, verdictsOf } from '../helpers/results.js';
import { writeTinyImages } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

/** Numbers that stay the same from one run of the tests to the next. */
function chances(seed: number, count: number): number[] {
  return fc.sample(fc.double({ min: 0, max: 1, noNaN: true }), { seed, numRuns: count });
}

async function scene(t: TestContext, images: number, ...settings: string[]) {
  const folder = await temporaryFolder(t);
  await writeTinyImages(join(folder, 'in'), images);
  const model = await writeTinyModel(join(folder, 'tiny'));
  const args = (out: string, ...rest: string[]) => [
    ...['run', 'in', '--out', out, '--quiet', '--threads', '2', ...rest],
    ...(rest.includes('--resume') ? [] : ['--seed', '1', '--model', model, '--gallery', '4', ...settings]),
  ];
  const at = { cwd: folder };
  const results = (out: string) => join(folder, out, 'results.jsonl');
  assert.deepEqual(await deflector(args('whole'), at), { code: 0, stdout: '', stderr: '' });
  const size = (await stat(results('whole'))).size;

  /** Runs until the results have some share of their size, and `delay` longer; then sends the signal. */
  const broken = async (signal: NodeJS.Signals, share: number, delay: number, ...rest: string[]): Promise<Outcome> => {
    const { child, outcome } = startDeflector(args('out', ...rest), at);
    const done = outcome.then(() => true);
    const written = () =>
      stat(results('out')).then(
        found => found.size,
        () => 0,
      );
    while ((await written()) < share * size) if (await Promise.race([done, setTimeout(2, false)])) break;
    await setTimeout(delay);
    child.kill(signal);
    return outcome;
  };
  const run = () => readFile(join(folder, 'out/run.json'), 'utf8').then(JSON.parse);
  const resume = () => deflector(args('out', '--resume'), at);
  const assertWhole = async () => {
    assert.deepEqual(await timelessLines(results('out')), await timelessLines(results('whole')));
    const { status, counts } = await run();
    assert.deepEqual([status, counts.total], ['complete', images]);
    assert.ok((await stat(join(folder, 'out/report.html'))).size > 0);
  };
  return { folder, args, at, results, broken, run, resume, assertWhole };
}

describe('a job that is killed (kill -9)', () => {
  for (const seed of [1, 2]) {
    it(`and resumed, killed again and resumed, ends with the bytes of a calm one (${seed})`, async t => {
      const { broken, resume, assertWhole } = await scene(t, 400);
      const [first, second, ...delays] = chances(seed, 4) as [number, number, ...number[]];
      // What has written nothing yet has nothing to go on from, which is for --overwrite.
      const shares = [0.01 + first * 0.5, 0.5 + second * 0.5];
      for (const [attempt, share] of shares.entries()) {
        await broken('SIGKILL', share, 20 * delays[attempt]!, ...(attempt === 0 ? [] : ['--resume']));
      }
      assert.deepEqual(await resume(), { code: 0, stdout: '', stderr: '' });
      await assertWhole();
    });
  }

  it('leaves a defended dataset that --resume makes the same, file by file', async t => {
    const { folder, broken, run, resume, assertWhole } = await scene(t, 150, '--emit', 'defended');
    assert.equal((await broken('SIGKILL', 0.3, 7)).code, null);
    assert.equal((await run()).status, 'running');
    await broken('SIGKILL', 0.7, 3, '--resume');
    assert.equal((await resume()).code, 0);
    await assertWhole();
    const expected = await digestsBelow(join(folder, 'whole/defended'));
    assert.equal(Object.keys(expected).length, 150 + 2);
    assert.deepEqual(await digestsBelow(join(folder, 'out/defended')), expected);
  });
});

describe('a job that is interrupted (Ctrl-C)', () => {
  it('ends in order with exit code 130, says so in run.json, and goes on', async t => {
    const { results, broken, run, resume, assertWhole } = await scene(t, 1200);
    const outcome = await broken('SIGINT', 0.1, 0);
    assert.deepEqual(outcome, { code: 130, stdout: '', stderr: '' });
    const { status, counts } = await run();
    const verdicts = await verdictsOf(results('out'));
    assert.deepEqual([status, counts.total], ['interrupted', verdicts.length]);
    assert.ok(verdicts.length < 1200);
    assert.equal((await resume()).code, 0);
    await assertWhole();
  });

  it('is resumed only under the settings that its results depend on', async t => {
    const { folder, args, at, broken, resume, assertWhole } = await scene(t, 1000);
    assert.equal((await broken('SIGTERM', 0.1, 0)).code, 130);
    const refused = async (...flags: string[]) => {
      const { code, stderr } = await deflector([...args('out', '--resume'), ...flags], at);
      assert.equal(code, 2);
      return stderr.split('\n')[0];
    };
    assert.equal(await refused('--runs', '11'), 'error RESUME_MISMATCH: The job began with --runs 10, not 11');
    assert.match((await refused('--seed', '2'))!, /^error RESUME_MISMATCH: The job began with --seed "1", not "2"$/);
    assert.match((await refused('--emit', 'defended'))!, /^error RESUME_MISMATCH: The job began with --emit "none"/);
    assert.match((await refused('--overwrite'))!, /^error SETTINGS_INVALID: Expected one of the two for --resume/);
    assert.deepEqual(await deflector([...args('out', '--resume'), '--threads', '1', '--batch', '3'], at), {
      ...{ code: 0, stdout: '', stderr: '' },
    });
    await assertWhole();
    await rm(join(folder, 'out/run.json'));
    const { code, stderr } = await resume();
    assert.equal(code, 2);
    assert.match(stderr, /^error RESUME_MISMATCH: There is no job to go on with: out\/run\.json cannot be read\n/);
  });
});
