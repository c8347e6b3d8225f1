import assert from 'node:assert/strict';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { deployment } from '../helpers/distributed.js';
import { checkLeaks } from '../helpers/leaks.js';
import { timelessLines } from '../helpers/results.js';
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
});
