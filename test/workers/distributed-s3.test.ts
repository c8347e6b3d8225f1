import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { deployment } from '../helpers/distributed.js';
import { filesBelow } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { digestsBelow, timelessLines } from '../helpers/results.js';
import { startS3Server } from '../helpers/s3-server.js';

checkLeaks();

describe('a distributed job in S3', () => {
  it('has the results of an embedded one in folders', async t => {
    const s3 = await startS3Server();
    t.after(() => s3.stop());
    const { input, defence, worker, embedded, command } = await deployment(t, 40, {
      DEFLECTOR_S3_ENDPOINT: s3.endpoint,
    });
    const { name, folder } = await s3.bucket();
    await cp(input, join(folder, 'in'), { recursive: true });
    const out = `s3://${name}/out`;
    const enqueued = await command(
      'enqueue',
      `s3://${name}/in`,
      '--job',
      'job',
      '--out',
      out,
      '--chunk',
      '16',
      ...defence,
    );
    assert.equal(enqueued.code, 0, enqueued.stderr);
    await worker();
    const waited = await command('jobs', 'wait', 'job', '--quiet');
    assert.equal(waited.code, 0, waited.stderr);
    const exported = await command('jobs', 'export', 'job', '--json');
    assert.equal(exported.code, 0, exported.stderr);
    assert.deepEqual(await timelessLines(join(folder, 'out/results.jsonl')), await embedded());
    assert.equal(JSON.parse(await readFile(join(folder, 'out/run.json'), 'utf8')).counts.total, 40);
    assert.equal((await command('jobs', 'export', 'job')).code, 2);
  });

  it('takes shards, and leaves shards, a table and pictures, as an embedded one in folders does', async t => {
    const s3 = await startS3Server();
    t.after(() => s3.stop());
    const { folder, input, defence, worker, command } = await deployment(t, 40, { DEFLECTOR_S3_ENDPOINT: s3.endpoint });
    await writeFile(join(input, '00003b.png'), 'no image');
    const bucket = await s3.bucket();
    const shard = join(folder, 'shard.tar');
    await promisify(execFile)('tar', ['--sort=name', '-cf', shard, '-C', input, '.']);
    await cp(shard, join(bucket.folder, 'shard.tar'));
    const emit = ['--emit', 'defended', '--emit-form', 'shards', '--shard-size', '16', ...defence];
    const embedded = join(folder, 'embedded');
    await command('run', shard, '--out', embedded, '--format', 'both', '--threads', '1', ...emit);
    const out = `s3://${bucket.name}/out`;
    const enqueue = ['enqueue', `s3://${bucket.name}/shard.tar`, '--job', 'job', '--out', out, '--chunk', '10'];
    assert.equal((await command(...enqueue, '--fetch', 'separate', ...emit)).code, 0);
    await Promise.all([worker(['fetch']), worker(['defend']), worker(['defend']), worker(['publish'])]);
    assert.equal((await command('jobs', 'wait', 'job', '--quiet', '--max-errors', '1')).code, 0);
    const exported = await command('jobs', 'export', 'job', '--format', 'both', '--clean', '--quiet');
    assert.deepEqual([exported.code, exported.stderr], [0, '']);

    const own = join(bucket.folder, 'out');
    const lines = await timelessLines(join(own, 'results.jsonl'));
    assert.deepEqual(lines, await timelessLines(join(embedded, 'results.jsonl')));
    assert.equal(lines.length, 41);
    const dataset = await digestsBelow(join(own, 'defended'));
    assert.deepEqual(dataset, await digestsBelow(join(embedded, 'defended')));
    assert.deepEqual(
      Object.keys(dataset).filter(name => name.endsWith('.tar')),
      ['shard-000000.tar', 'shard-000001.tar', 'shard-000002.tar'],
    );
    const pictures = async (at: string) =>
      (await readFile(join(at, 'report.html'), 'utf8')).match(/data:image\/webp[^"]*/g);
    assert.deepEqual(await pictures(own), await pictures(embedded));
    const left = (await filesBelow(own)).map(path => relative(own, path)).filter(path => !path.startsWith('defended/'));
    assert.deepEqual(left, ['report.html', 'results.jsonl', 'results.parquet', 'run.json']);

    // What it leaves it also takes: the images in their shards, by their places.
    const again = await command('run', `${out}/defended/shard-000001.tar`, '--out', join(folder, 'again'), ...defence);
    assert.equal(again.code, 0, again.stderr);
    const keys = (await timelessLines(join(folder, 'again/results.jsonl'))).map(line => JSON.parse(line).key);
    assert.deepEqual(
      keys,
      Array.from({ length: 16 }, (_, n) => `${String(16 + n).padStart(9, '0')}.png`),
    );
  });
});
