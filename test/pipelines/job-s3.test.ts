import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type JobObserver, type JobRequest, type JobResult, runJob } from '../../pipelines/job.js';
import { resolveSettings, type UserOptions } from '../../src/config/settings.js';
import { withCode } from '../conformance/object-store.js';
import { deflector } from '../helpers/cli.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { CLI } from '../helpers/repository.js';
import { timelessLines } from '../helpers/results.js';
import { type DisturbingProxy, type S3Server, startProxy, startS3Server } from '../helpers/s3-server.js';
import { tinyName, writeTinyImages } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

let server: S3Server;
let proxy: DisturbingProxy;
before(async () => {
  server = await startS3Server();
  proxy = await startProxy(server.port);
});
after(async () => {
  await server.stop();
  await proxy.stop();
});
checkLeaks();

const NEVER = new AbortController().signal;

/** The same images in a folder and in a bucket, and room for results in both. */
async function scene(t: TestContext, images: number, settings: UserOptions = {}) {
  const folder = await temporaryFolder(t);
  const local = await writeTinyImages(join(folder, 'in'), images);
  await writeFile(join(local, '0a b+c ü%20.png'), await readFile(join(local, tinyName(0))));
  await writeFile(join(local, 'broken.png'), 'no image');
  const bucket = await server.bucket();
  await cp(local, join(bucket.folder, 'in'), { recursive: true });
  const model = await writeTinyModel(join(folder, 'tiny'));
  const options = resolveSettings({
    flags: { model, threads: 1, seed: '1', runs: 3, gallery: 2, s3Endpoint: server.endpoint, s3Tries: 2, ...settings },
  });
  const run = (
    input: string,
    out: string,
    changes: Partial<JobRequest> = {},
    observer: JobObserver = {},
    signal: AbortSignal = NEVER,
  ): Promise<JobResult> => runJob({ inputs: [input], out, existing: 'refuse', options, ...changes }, observer, signal);
  const remote = `s3://${bucket.name}/in`;
  const outs = { local: join(folder, 'out'), remote: `s3://${bucket.name}/out` };
  /** The folder behind a destination: the server keeps objects as files. */
  const behind = (out: string) => out.replace(`s3://${bucket.name}`, bucket.folder).replace(/\/$/, '');
  const lines = (out: string) => timelessLines(join(behind(out), 'results.jsonl'));
  return { folder, bucket, model, local, remote, options, run, outs, behind, lines };
}

async function tree(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

describe('a job with S3', () => {
  it('gives the same bytes from a folder and from a bucket, to a folder and to a bucket', async t => {
    const { folder, local, remote, run, outs, behind, lines, bucket } = await scene(t, 20, { emit: 'defended' });
    const places = [
      [local, outs.local],
      [remote, join(folder, 'out2')],
      [local, outs.remote],
      [`${remote}/`, `s3://${bucket.name}/deep/out/`],
    ] as const;
    let first: { lines: string[]; tree: string[]; defended: string[] } | undefined;
    for (const [input, out] of places) {
      const { run: summary } = await run(input, out);
      assert.deepEqual([summary.status, summary.counts.ok, summary.counts.total], ['complete', 21, 22]);
      const names = await tree(behind(out));
      const defended = await Promise.all(
        names.filter(name => name.startsWith('defended')).map(name => readFile(join(behind(out), name), 'base64')),
      );
      const seen = { lines: await lines(out), tree: names, defended };
      first ??= seen;
      assert.deepEqual(seen, first, `${input} to ${out}`);
    }
    assert.deepEqual(
      first?.tree.filter(name => !name.startsWith('defended/')),
      ['report.html', 'results.jsonl', 'run.json'],
    );
    assert.ok(first?.lines.some(line => JSON.parse(line).key === '0a b+c ü%20.png'));
  });

  it('goes on where it was stopped, and ends as without a break', async t => {
    const { remote, run, outs, lines, behind } = await scene(t, 150, { emit: 'defended' });
    await run(remote, outs.local);
    const stop = new AbortController();
    const { run: cut } = await run(remote, outs.remote, {}, { verdict: () => stop.abort() }, stop.signal);
    assert.equal(cut.status, 'interrupted');
    assert.ok((await tree(behind(outs.remote))).some(name => name.startsWith('results.jsonl.parts/')));
    await assert.rejects(run(remote, outs.remote), withCode('OUTPUT_EXISTS'));
    const resumed: string[] = [];
    const observer: JobObserver = { verdict: ({ key }, before) => void (before && resumed.push(key)) };
    const { run: summary } = await run(remote, outs.remote, { existing: 'resume' }, observer);
    assert.equal(summary.status, 'complete');
    assert.ok(resumed.length > 0);
    assert.deepEqual(await lines(outs.remote), await lines(outs.local));
    assert.deepEqual(await tree(behind(outs.remote)), await tree(outs.local));
    await run(remote, outs.remote, { existing: 'overwrite' });
    assert.deepEqual(await lines(outs.remote), await lines(outs.local));
  });

  it('killed at any time, on one machine, goes on from another, and neither loses nor repeats a verdict', async t => {
    const { remote, run, outs, lines, model } = await scene(t, 60, { emit: 'defended' });
    await run(remote, outs.local);
    const args = ['run', remote, '--out', outs.remote, '--s3-endpoint', server.endpoint];
    const begin = [
      '--model',
      model,
      '--threads',
      '1',
      '--seed',
      '1',
      '--runs',
      '3',
      '--gallery',
      '2',
      '--emit',
      'defended',
    ];
    let kills = 0;
    for (let resume = false; ; resume = true) {
      const child = spawn(process.execPath, [CLI, ...args, ...(resume ? ['--resume'] : begin)], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let said = '';
      child.stderr.on('data', data => (said += data));
      let before: number | undefined;
      const watch = setInterval(() => {
        const now = server.objects();
        before ??= now;
        // Some parts later than at its start, so that each life gets on.
        if (kills < 4 && now > before + 12 + 7 * kills) child.kill('SIGKILL');
      }, 5);
      const [code] = await once(child, 'close');
      clearInterval(watch);
      if (code === null) {
        kills++;
        continue;
      }
      assert.equal(code, 1, said);
      break;
    }
    assert.ok(kills > 0, 'it was killed');
    assert.deepEqual(await lines(outs.remote), await lines(outs.local));
  });

  it('ends when the server goes away, and goes on when it is back', async t => {
    const { remote, run, outs, lines, options } = await scene(t, 40);
    await run(remote, outs.local);
    const shaky = { ...options, s3Endpoint: proxy.endpoint, s3Timeout: 1 };
    let seen = 0;
    const observer: JobObserver = {
      verdict: () => {
        if (++seen === 5) proxy.disturb({ kind: 'reset' });
      },
    };
    await assert.rejects(run(remote, outs.remote, { options: shaky }, observer), withCode('STORE_UNREACHABLE'));
    proxy.disturb({ kind: 'none' });
    await run(remote, outs.remote, { existing: 'resume' });
    assert.deepEqual(await lines(outs.remote), await lines(outs.local));
  });

  it('is refused before any work where the bucket or the credentials are wrong', async t => {
    const { local, remote, run, outs, bucket } = await scene(t, 2);
    await assert.rejects(run('s3://no-bucket/in', outs.local), withCode('STORE_NOT_FOUND'));
    await assert.rejects(run(local, 's3://no-bucket/out'), withCode('STORE_NOT_FOUND'));
    await assert.rejects(run(`s3://${bucket.name}/nothing`, outs.local), withCode('INPUT_NOT_FOUND'));
    await assert.rejects(run(local, 's3://'), withCode('SETTINGS_INVALID'));
    const env = { AWS_ACCESS_KEY_ID: 'nobody', AWS_SECRET_ACCESS_KEY: 'test-secret-wrong' };
    const { code, stderr } = await deflector(['run', remote, '--out', outs.local, '--s3-endpoint', server.endpoint], {
      env,
    });
    assert.equal(code, 2);
    assert.match(stderr, /error STORE_DENIED: The credentials for S3 do not hold/);
    assert.doesNotMatch(stderr, /test-secret|\n\s+at /);
  });

  it('does not defend what it makes, where results lie among its inputs', async t => {
    const { run, bucket, behind } = await scene(t, 5, { emit: 'defended' });
    await rm(join(bucket.folder, 'in', 'broken.png'));
    const out = `s3://${bucket.name}/in/out`;
    const { run: summary } = await run(`s3://${bucket.name}/in`, out);
    assert.equal(summary.counts.total, 6);
    const again = await run(`s3://${bucket.name}/in`, out, { existing: 'overwrite' });
    assert.equal(again.run.counts.total, 6);
    assert.ok((await tree(behind(out))).includes(`defended/${tinyName(0)}`));
  });

  it('takes shards, from a folder and from a bucket, without unpacking them', async t => {
    const { folder, local, run, outs, lines, bucket } = await scene(t, 20);
    const tar = spawn('tar', ['--sort=name', '-cf', join(folder, 'shard.tar'), '-C', local, '.']);
    await once(tar, 'close');
    await cp(join(folder, 'shard.tar'), join(bucket.folder, 'shard.tar'));
    await mkdir(join(folder, 'sorted'));
    await rename(local, join(folder, 'sorted', 'in'));
    await run(join(folder, 'shard.tar'), outs.local);
    await run(`s3://${bucket.name}/shard.tar`, outs.remote);
    assert.deepEqual(await lines(outs.remote), await lines(outs.local));
    const plain = join(folder, 'plain');
    await run(join(folder, 'sorted', 'in'), plain);
    assert.deepEqual((await lines(outs.local)).sort(), (await lines(plain)).sort());
  });
});
