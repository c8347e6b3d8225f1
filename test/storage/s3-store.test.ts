import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { DeflectorError } from '../../src/errors.js';
import { parseS3Address } from '../../src/storage/s3-address.js';
import type { S3Options } from '../../src/storage/s3-connection.js';
import { PIECE_BYTES, type S3Store } from '../../src/storage/s3-store.js';
import { objectStoreConformance, withCode } from '../conformance/object-store.js';
import { streamingStoreConformance } from '../conformance/streaming-store.js';
import { collect } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type DisturbingProxy, type S3Server, startProxy, startS3Server } from '../helpers/s3-server.js';

const LIMIT = 1 << 20;
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

async function open(options: Partial<S3Options> = {}, key = ''): Promise<S3Store> {
  const { name } = await server.bucket();
  return server.connect(options).open({ bucket: name, key });
}

objectStoreConformance('S3Store', () => open());
objectStoreConformance('S3Store below a prefix', () => open({}, 'deep/within it/'));
streamingStoreConformance('S3Store', () => open());

describe('S3Store lists', () => {
  it('page by page, in order, whatever their number, and passes over what stands for a folder', async () => {
    const { name, folder } = await server.bucket();
    await mkdir(join(folder, 'd', 'empty'), { recursive: true });
    const names = Array.from({ length: 2345 }, (_, i) => `d/${String(i).padStart(5, '0')}.jpg`);
    for (const one of names) await writeFile(join(folder, one), '');
    const store = server.connect().open({ bucket: name, key: 'd/' });
    await store.write('folder/mark', new Uint8Array(1));
    await store.delete('folder/mark');
    assert.deepEqual(
      (await collect(store.list())).map(({ key }) => `d/${key}`),
      names,
    );
  });

  it('twenty thousand keys in the memory that one page takes', async () => {
    const { name, folder } = await server.bucket();
    for (let i = 0; i < 20_000; i++) await writeFile(join(folder, `${String(i).padStart(100, '0')}.jpg`), '');
    const script = `
      import { S3Connection } from ${JSON.stringify(new URL('../../src/storage/s3-connection.js', import.meta.url).href)};
      const connection = new S3Connection({ s3Endpoint: ${JSON.stringify(server.endpoint)}, s3Region: null, s3Addressing: 'auto', s3Timeout: 30, s3Tries: 3 });
      const store = connection.open({ bucket: ${JSON.stringify(name)}, key: '' });
      let count = 0, base = 0, peak = 0;
      for await (const _ of store.list()) {
        if (++count % 2000 === 0) {
          gc();
          const used = process.memoryUsage().heapUsed;
          if (count === 2000) base = used;
          peak = Math.max(peak, used - base);
        }
      }
      console.log(JSON.stringify({ count, peak }));
      await connection.close();
    `;
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--expose-gc',
      '--input-type=module',
      '-e',
      script,
    ]);
    const { count, peak } = JSON.parse(stdout) as { count: number; peak: number };
    assert.equal(count, 20_000);
    // The keys alone are 2 MB; each with its entry over 5 MB.
    assert.ok(peak < 1.5e6, `${peak} bytes of heap`);
  });

  it('keys that no file could have, each with an error', async t => {
    const xml = `<?xml version="1.0"?><ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>${[
      'a%2Fb+c%2B%C3%BC.jpg',
      'a//b.jpg',
      'a/../b.jpg',
      'c/',
    ]
      .map(key => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`)
      .join('')}</ListBucketResult>`;
    const store = await madeUp(t, xml);
    assert.deepEqual(
      (await collect(store.list())).map(({ key, error }) => [key, error?.code]),
      [
        ['a/b c+ü.jpg', undefined],
        ['a//b.jpg', 'KEY_INVALID'],
        ['a/../b.jpg', 'KEY_INVALID'],
      ],
    );
  });
});

describe('S3Store reads', () => {
  it('nothing beyond the limit, also where the server does not tell the size', async t => {
    const store = await open({ s3Endpoint: proxy.endpoint });
    await store.write('large', new Uint8Array(24 << 20));
    const before = proxy.answered;
    await assert.rejects(store.read('large', 1000), /Expected at most 1000 bytes but the file has 25165824 bytes/);
    assert.ok(proxy.answered - before < 4 << 20, `${proxy.answered - before} bytes came`);
    const endless = await madeUp(t, undefined);
    await assert.rejects(endless.read('endless', 100_000), withCode('IMAGE_TOO_MANY_BYTES'));
  });

  it('again what was cut off or stalled, until the tries are used up', async () => {
    const bytes = randomBytes(300_000);
    const store = await open({ s3Endpoint: proxy.endpoint, s3Timeout: 1 });
    await store.write('a', bytes);
    for (const how of [
      { kind: 'cut', after: 100_000 },
      { kind: 'stall', after: 100_000 },
      { kind: 'reset' },
    ] as const) {
      proxy.disturb(how, 1);
      assert.ok(bytes.equals(await store.read('a', LIMIT)), how.kind);
      proxy.disturb(how);
      await assert.rejects(
        store.read('a', LIMIT),
        withCode(how.kind === 'reset' ? 'STORE_UNREACHABLE' : 'STORE_UNAVAILABLE'),
        how.kind,
      );
      proxy.disturb({ kind: 'none' });
    }
  });

  it('nothing that is not what its checksum says, and blames the object', async () => {
    const { name, folder } = await server.bucket();
    const store = server.connect({ s3Tries: 2 }).open({ bucket: name, key: '' });
    const bytes = randomBytes(300_000);
    await store.write('a', bytes);
    bytes[1000]! ^= 0x40;
    await writeFile(join(folder, 'a'), bytes);
    await assert.rejects(store.read('a', LIMIT), withCode('IMAGE_CORRUPT'));
    await assert.rejects(async () => {
      for await (const _ of store.stream('a'));
    }, withCode('IMAGE_CORRUPT'));
  });

  it('over connections that it keeps', async () => {
    const store = await open({ s3Endpoint: proxy.endpoint });
    await store.write('a', randomBytes(1000));
    const before = proxy.connections;
    for (let i = 0; i < 50; i++) await store.read('a', LIMIT);
    assert.equal(proxy.connections, before);
  });
});

describe('S3Store writes', () => {
  it('an object larger than one piece in parts, and leaves no part behind when the source fails', async () => {
    const { name } = await server.bucket();
    const connection = server.connect();
    const store = connection.open({ bucket: name, key: '' });
    const bytes = randomBytes(2 * PIECE_BYTES + 5);
    await store.write('large', bytes);
    const digest = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
    assert.equal(digest(await store.read('large', bytes.length)), digest(bytes));
    const failing = (async function* () {
      yield bytes;
      throw new Error('gone');
    })();
    await assert.rejects(store.writeStream('broken', failing), /gone/);
    await assert.rejects(store.read('broken', LIMIT), withCode('IMAGE_NOT_FOUND'));
    const { module, client } = await connection.live();
    const { Uploads = [] } = await client.send(new module.ListMultipartUploadsCommand({ Bucket: name }));
    assert.deepEqual(Uploads, []);
  });

  it('in one of twenty racing creations, and takes its own repeated write for what it is', async () => {
    const store = await open();
    const tries = Array.from({ length: 20 }, (_, i) => store.create('one', Buffer.from(`writer ${i}`)));
    assert.equal((await Promise.all(tries)).filter(Boolean).length, 1);
    const winner = await store.read('one', LIMIT);
    assert.equal(await store.create('one', winner), true);
    assert.equal(await store.create('one', Buffer.from('another')), false);
    assert.equal(await store.create('one', Buffer.from('x')), false);
  });

  it('nothing twice where the answer to a creation was lost', async () => {
    const store = await open({ s3Endpoint: proxy.endpoint, s3Timeout: 1 });
    proxy.disturb({ kind: 'cut', after: 0 }, 1);
    assert.equal(await store.create('a', randomBytes(1000)), true);
    proxy.disturb({ kind: 'none' });
  });

  it('and deletes many at once', async () => {
    const { name, folder } = await server.bucket();
    const store = server.connect().open({ bucket: name, key: '' });
    const keys = Array.from({ length: 1100 }, (_, i) => `${i}.jpg`);
    for (const key of keys) await writeFile(join(folder, key), '');
    await store.deleteAll([...keys, 'missing']);
    assert.deepEqual(await collect(store.list()), []);
  });
});

describe('S3Store says', () => {
  async function outcome(work: Promise<unknown>): Promise<DeflectorError> {
    const error = await work.then(
      () => assert.fail('it was done'),
      fault => fault,
    );
    assert.ok(error instanceof DeflectorError, String(error));
    assert.doesNotMatch(`${error.message}${error.stack}`, /test-secret/);
    return error;
  }

  it('that the bucket is not there', async () => {
    const store = server.connect().open({ bucket: 'no-bucket', key: '' });
    const work = [() => store.read('a', 1), () => collect(store.list()), () => store.write('a', new Uint8Array(1))];
    for (const one of work) {
      assert.equal((await outcome(one())).code, 'STORE_NOT_FOUND');
    }
  });

  it('that the credentials are wrong or absent, without a secret', async () => {
    const { name } = await server.bucket();
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
    for (const change of [
      { AWS_SECRET_ACCESS_KEY: 'test-secret-wrong' },
      { AWS_ACCESS_KEY_ID: 'nobody' },
      { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
    ]) {
      Object.assign(process.env, change);
      const store = server.connect().open({ bucket: name, key: '' });
      for (const work of [() => store.read('a', 1), () => collect(store.list())]) {
        const { code } = await outcome(work());
        assert.equal(code, 'STORE_DENIED', JSON.stringify(change));
      }
      Object.assign(process.env, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY });
    }
  });

  it('that nobody answers', async () => {
    const store = server.connect({ s3Endpoint: 'http://127.0.0.1:1' }).open({ bucket: 'bucket', key: '' });
    assert.equal((await outcome(store.read('a', 1))).code, 'STORE_UNREACHABLE');
    assert.match((await outcome(collect(store.list()))).message, /does not answer \(ECONNREFUSED\): "s3:\/\/bucket"/);
  });

  for (const [status, code, expected] of [
    [403, 'AccessDenied', 'IMAGE_PERMISSION'],
    [403, 'InvalidObjectState', 'IMAGE_PERMISSION'],
    [403, 'ExpiredToken', 'STORE_DENIED'],
    [404, 'NoSuchKey', 'IMAGE_NOT_FOUND'],
    [500, 'InternalError', 'STORE_UNAVAILABLE'],
    [503, 'SlowDown', 'STORE_UNAVAILABLE'],
    [507, 'XMinioStorageFull', 'STORE_FULL'],
    [400, 'KeyTooLongError', 'KEY_INVALID'],
  ] as const) {
    it(`${expected} where a read is answered with ${code}`, async t => {
      const store = await madeUp(t, `<Error><Code>${code}</Code><Message>account 42</Message></Error>`, status);
      const error = await outcome(store.read('a.jpg', LIMIT));
      assert.equal(error.code, expected);
      assert.doesNotMatch(error.message, /account/);
    });
  }

  it('that it may not write or list', async t => {
    const store = await madeUp(t, '<Error><Code>AccessDenied</Code></Error>', 403);
    assert.equal((await outcome(store.write('a', new Uint8Array(1)))).code, 'STORE_DENIED');
    assert.equal((await outcome(collect(store.list()))).code, 'STORE_DENIED');
  });

  it('where it is, without credentials', async () => {
    assert.equal(server.connect().open({ bucket: 'bucket', key: 'a/' }).url, 's3://bucket/a/');
  });
});

describe('S3Connection', () => {
  it('names the bucket in the path at an endpoint of its own, or in the host where told to', async t => {
    const hosts: string[] = [];
    const http = createServer((request, response) => {
      hosts.push(`${request.headers.host?.replace(/:\d+$/, '')}${request.url?.replace(/\?.*/, '')}`);
      response.end('x');
    }).listen(0, '127.0.0.1');
    await new Promise(resolve => http.once('listening', resolve));
    t.after(() => http.close());
    const { port } = http.address() as AddressInfo;
    for (const [s3Addressing, host] of [
      ['auto', 'localhost'],
      ['path', 'localhost'],
      ['host', 'localhost'],
    ] as const) {
      const connection = server.connect({ s3Endpoint: `http://${host}:${port}`, s3Addressing });
      // Not every resolver knows names below localhost; what matters is the request.
      await connection
        .open({ bucket: 'bucket', key: '' })
        .read('a', 10)
        .catch(() => undefined);
      await connection.close();
    }
    assert.deepEqual(hosts.slice(0, 2), ['localhost/bucket/a', 'localhost/bucket/a']);
    assert.ok(
      hosts.slice(2).every(host => host === 'bucket.localhost/a'),
      hosts.join(),
    );
  });

  it('opens only what is allowed, where a list says what is', () => {
    const address = (text: string) => parseS3Address(text)!;
    const allowed = ['s3://all', 's3://some/in', 's3://some/up/'].map(address);
    const connection = server.connect();
    for (const good of ['s3://all', 's3://all/a/b', 's3://some/in', 's3://some/in/a.jpg', 's3://some/up/x']) {
      connection.open(address(good), allowed);
    }
    for (const bad of ['s3://other', 's3://some', 's3://some/inside', 's3://some/up', 's3://al', 's3://alll/a']) {
      assert.throws(() => connection.open(address(bad), allowed), withCode('STORE_DENIED'), bad);
    }
  });
});

/** A store whose server gives one and the same answer; without a body, one that never ends. */
async function madeUp(t: TestContext, body: string | undefined, status = 200): Promise<S3Store> {
  const http = createServer((request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': 'application/xml' });
    if (body !== undefined) {
      response.end(body);
      return;
    }
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
    };
    response.on('drain', more);
    more();
  }).listen(0, '127.0.0.1');
  await new Promise(resolve => http.once('listening', resolve));
  const { port } = http.address() as AddressInfo;
  const connection = server.connect({ s3Endpoint: `http://127.0.0.1:${port}`, s3Tries: 1 });
  t.after(async () => {
    await connection.close();
    http.closeAllConnections();
    http.close();
  });
  return connection.open({ bucket: 'bucket', key: '' });
}
