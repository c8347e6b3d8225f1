import assert from 'node:assert/strict';
import { readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { formatVerdict, parseVerdict } from '../../src/sinks/verdict-json.js';
import { deployment, until } from '../helpers/distributed.js';
import { filesBelow } from '../helpers/files.js';
import { freePort } from '../helpers/free-port.js';
import { startGateway } from '../helpers/ingest.js';
import { checkLeaks } from '../helpers/leaks.js';
import { startS3Server } from '../helpers/s3-server.js';
import { tinyName } from '../helpers/tiny-images.js';

checkLeaks();

const TOKEN = 'a-token-of-the-store';

describe('an upload to a real S3 server', () => {
  it('leads to a verdict in the sinks, by its event; one that no event told of by a listing', async t => {
    const port = await freePort();
    const { folder, input, defence, redis, connection, worker, progress } = await deployment(t, 6, {
      DEFLECTOR_S3_ENDPOINT: `http://127.0.0.1:${port}`,
      AWS_ACCESS_KEY_ID: 'test-access',
      AWS_SECRET_ACCESS_KEY: 'test-secret-that-no-message-shows',
    });
    const out = join(folder, 'out');
    const env = {
      DEFLECTOR_REDIS_URL: redis.url,
      DEFLECTOR_S3_ENDPOINT: `http://127.0.0.1:${port}`,
      DEFLECTOR_TOKENS: `store=${TOKEN}`,
      AWS_ACCESS_KEY_ID: 'test-access',
      AWS_SECRET_ACCESS_KEY: 'test-secret-that-no-message-shows',
    };
    const gateway = await startGateway(t, ['--allow', 's3://bucket-1/in', '--out', out, ...defence], env, folder);
    // The only credentials that this server can send are those of its URL.
    const webhook = `${gateway.url.replace('//', `//store:${TOKEN}@`)}/v1/events`;
    const s3 = await startS3Server({ port, webhook });
    t.after(() => s3.stop());
    const bucket = await s3.bucket();
    const store = s3.connect().open({ bucket: bucket.name, key: '' });
    await worker(['--sink', `jsonl:${join(folder, 'sink')},redis:verdicts`]);

    const image = (n: number) => readFile(join(input, tinyName(n)));
    await store.write('in/a b+ü%41.jpg', await image(0));
    await store.write('in/notes.txt', Buffer.from('no image'));
    await store.write('elsewhere/b.jpg', await image(1));
    await store.write('in/deep/c.png', await image(2));
    const entries = async () => (await connection.client.xrange('{deflector}:verdicts', '-', '+')).map(([, f]) => f);
    await until(async () => (await entries()).length >= 2);

    const verdicts = (await entries()).map(fields => {
      const entry = Object.fromEntries(fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1]!]] : [])));
      return { ...entry, verdict: parseVerdict(entry.verdict!, 'entry') };
    }) as { id: string; key: string; verdict: ReturnType<typeof parseVerdict> }[];
    assert.deepEqual(verdicts.map(({ key }) => key).sort(), ['bucket-1/in/a b+ü%41.jpg', 'bucket-1/in/deep/c.png']);
    assert.ok(verdicts.every(({ verdict }) => verdict.status === 'ok'));

    // Beside the stream the same verdicts lie in objects, and the gateway gives them by their ids.
    const stored = async () => {
      const files = (await filesBelow(join(folder, 'sink'))).filter(name => name.endsWith('.jsonl'));
      const texts = await Promise.all(files.map(name => readFile(name, 'utf8')));
      return texts.flatMap(text => text.trimEnd().split('\n')).sort();
    };
    await until(async () => (await stored()).length >= 2);
    assert.deepEqual(await stored(), verdicts.map(({ verdict }) => formatVerdict(verdict)).sort());
    const headers = { authorization: `Bearer ${TOKEN}` };
    const call = async (path: string, init?: RequestInit) => {
      const response = await fetch(`${gateway.url}${path}`, { ...init, headers: { ...headers, ...init?.headers } });
      return (await response.json()) as Record<string, unknown>;
    };
    for (const { id, verdict } of verdicts) {
      await until(async () => (await call(`/v1/verdicts/${encodeURIComponent(id)}`)).state === 'done');
      assert.deepEqual((await call(`/v1/verdicts/${encodeURIComponent(id)}`)).verdict, verdict);
    }

    // An object whose event nobody heard, ten minutes ago.
    const old = new Date(Date.now() - 600_000);
    await writeFile(join(bucket.folder, 'in/unheard.png'), await image(3));
    await utimes(join(bucket.folder, 'in/unheard.png'), old, old);
    const json = { 'content-type': 'application/json' };
    const begun = await call('/v1/reconcile', { method: 'POST', headers: json, body: '{}' });
    assert.equal(begun.state, 'running');
    await until(async () => (await entries()).length >= 3);
    assert.equal((await entries())[2]![3], 'bucket-1/in/unheard.png');
    const { state, listed, accepted } = await call('/v1/reconcile');
    assert.deepEqual([state, listed, accepted], ['done', 4, 1]);

    const { jobs } = (await call('/v1/jobs')) as { jobs: { name: string; state: string; images: number }[] };
    const [job] = jobs.filter(({ name }) => name.startsWith('ingest-'));
    assert.equal(job!.state, 'listing');
    assert.equal(await gateway.end(), 0);
    assert.doesNotMatch(gateway.log(), new RegExp(TOKEN));
    await until(async () => (await progress(job!.name)).state === 'complete');
  });
});
