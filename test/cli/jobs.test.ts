import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { deflector } from '../helpers/cli.js';
import { deployment } from '../helpers/distributed.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';

checkLeaks();

describe('the commands of the distributed pipeline', () => {
  it('end with exit code 3 where there is no Redis, and never say its password', async t => {
    const cwd = await temporaryFolder(t);
    const env = { DEFLECTOR_REDIS_URL: 'redis://me:secret@127.0.0.1:1' };
    for (const args of [
      ['jobs', 'list'],
      ['worker', 'all'],
      ['enqueue', '.', '--job', 'job', '--out', 'out'],
    ]) {
      const { code, stdout, stderr } = await deflector(args, { env, cwd });
      assert.deepEqual([code, stdout], [3, '']);
      assert.match(stderr, /^error QUEUE_UNAVAILABLE: Redis at 127\.0\.0\.1:1 does not answer: /);
      assert.doesNotMatch(stderr, /secret/);
    }
    const { code, stderr } = await deflector(['jobs', 'list', '--redis-url', 'http://me:secret@host'], { cwd });
    assert.equal(code, 2);
    assert.doesNotMatch(stderr, /secret/);
  });

  it('refuse what is no name of a job, what no stage is, and what a distributed job cannot do', async t => {
    const { input, folder, command } = await deployment(t, 1);
    const out = join(folder, 'out');
    const refused = async (...args: string[]) => {
      const { code, stderr } = await command(...args);
      assert.equal(code, 2, stderr);
      return stderr;
    };
    assert.match(await refused('enqueue', input, '--job', 'a:b', '--out', out), /^error SETTINGS_INVALID: Expected/);
    assert.match(await refused('worker', 'decode'), /^error COMMAND_INVALID/);
    assert.match(await refused('jobs', 'show', 'nope'), /^error JOB_NOT_FOUND: There is no job called "nope"/);
    assert.match(await refused('enqueue', input, '--job', 'a', '--out', out, '--threads', '2'), /unknown option/);
  });

  it('say for people and for programs how far jobs are', async t => {
    const { enqueue, worker, command } = await deployment(t, 20);
    assert.match((await enqueue('job')).stdout, /^Job job: 20 images in 2 chunks\n/);
    assert.match((await command('jobs', 'list')).stdout, /^job +running +0 of 20 /);
    const early = await command('jobs', 'export', 'job');
    assert.deepEqual(
      [early.code, /^error JOB_UNFINISHED: The job job is running: 0 of 2/.test(early.stderr)],
      [2, true],
    );
    const ready = await worker();
    const waited = await command('jobs', 'wait', 'job', '--json');
    assert.equal(waited.code, 0);
    const { schema, name, state, chunks, images, done, verdicts } = JSON.parse(waited.stdout);
    assert.deepEqual(
      [schema, name, state, chunks, images, done, verdicts.total],
      ['deflector/job@1', 'job', 'complete', 2, 20, 2, 20],
    );
    assert.match(
      (await command('jobs', 'show', 'job')).stdout,
      /^Job job: complete\n {2}20 of 20 images have verdicts/,
    );
    assert.deepEqual(JSON.parse((await command('jobs', 'dead', 'job', '--json')).stdout), []);
    assert.match((await command('jobs', 'export', 'job')).stdout, /Defended 20 of 20 images/);
    assert.match((await command('jobs', 'export', 'job')).stderr, /^error OUTPUT_EXISTS/);
    const run = await command('jobs', 'export', 'job', '--overwrite', '--json');
    const { command: again, runtime, threads } = JSON.parse(run.stdout);
    assert.deepEqual([runtime, threads], ['onnxruntime-cpu', 1]);
    // The recorded command is one that the command line takes.
    const repeated = await command(...again.slice(1));
    assert.equal(repeated.code, 0, repeated.stderr);
    assert.match(repeated.stdout, /^Job job: 20 images in 2 chunks/);
    assert.equal(await ready.end('SIGTERM'), 0);
  });
});
