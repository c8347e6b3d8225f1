import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { type DownloadOptions, download, safeAddress } from '../../src/models/download.js';
import { lockFile } from '../../src/storage/lock-file.js';
import { type FileServer, type Mischief, serveFiles } from '../helpers/file-server.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';

checkLeaks();

const CONTENT = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 251));
const SHA256 = createHash('sha256').update(CONTENT).digest('hex');
const PATIENCE = { stall: 10_000, pause: 1, tries: 3 };

interface Scene {
  readonly server: FileServer;
  readonly target: string;
  readonly folder: string;
  /** Downloads the file, after `mischief`. */
  readonly get: (mischief?: readonly Mischief[], options?: DownloadOptions & { sha256?: string }) => Promise<void>;
}

async function scene(t: TestContext, content: Uint8Array = CONTENT): Promise<Scene> {
  const folder = await temporaryFolder(t);
  const server = await serveFiles(t, { '/net.onnx': content });
  const target = join(folder, 'net');
  const address = new URL(`${server.url}/net.onnx`);
  return {
    ...{ server, target, folder },
    get: (mischief = [], { sha256 = SHA256, ...options } = {}) => {
      server.mischief.push(...mischief);
      return download({ address, sha256, bytes: CONTENT.length }, target, { patience: PATIENCE, ...options });
    },
  };
}

describe('a download', () => {
  it('brings the file, tells its progress, and leaves nothing else behind', async t => {
    const { get, target, folder, server } = await scene(t);
    const told: number[] = [];
    await get([], { progress: bytes => told.push(bytes) });
    assert.deepEqual(await readFile(target), CONTENT);
    assert.deepEqual(await readdir(folder), ['net']);
    assert.deepEqual(server.requests, ['/net.onnx']);
    assert.deepEqual([told[0], told.at(-1)], [0, CONTENT.length]);
    assert.deepEqual(
      told,
      [...told].sort((a, b) => a - b),
    );
  });

  it('goes on where the connection was cut, wherever that was', async t => {
    const cuts = fc.sample(fc.array(fc.integer({ min: 1, max: 50_000 }), { maxLength: 5 }), { numRuns: 5 });
    for (const lengths of cuts) {
      const { get, target, server } = await scene(t);
      await get(
        lengths.map(cutAfter => ({ cutAfter })),
        { patience: { ...PATIENCE, tries: 10 } },
      );
      assert.deepEqual(await readFile(target), CONTENT);
      assert.equal(server.requests.length, 1 + lengths.length);
      // What a connection brought before it was cut may be lost in part, never more than all of it.
      for (const request of server.requests.slice(1)) assert.match(request, /^\/net\.onnx( bytes=\d+-)?$/);
    }
  });

  it('goes on in a later call, told so by its progress', async t => {
    const { get, target, server } = await scene(t);
    await writeFile(`${target}.part`, CONTENT.subarray(0, 123_456));
    const told: number[] = [];
    await get([], { progress: bytes => told.push(bytes) });
    assert.deepEqual(server.requests, ['/net.onnx bytes=123456-']);
    assert.equal(told[0], 123_456);
    assert.deepEqual(await readFile(target), CONTENT);
  });

  it('takes the whole file from a server that knows no ranges', async t => {
    const { get, target } = await scene(t);
    await writeFile(`${target}.part`, CONTENT.subarray(0, 1000));
    await get([{ ignoreRange: true }]);
    assert.deepEqual(await readFile(target), CONTENT);
  });

  it('starts over once where what an earlier call left belongs to another file', async t => {
    const { get, target, server } = await scene(t);
    await writeFile(`${target}.part`, Buffer.alloc(1000, 7));
    await get();
    assert.deepEqual(await readFile(target), CONTENT);
    assert.deepEqual(server.requests, ['/net.onnx bytes=1000-', '/net.onnx']);
  });

  it('starts over where more lies there than the file has', async t => {
    const { get, target } = await scene(t);
    await writeFile(`${target}.part`, Buffer.alloc(CONTENT.length + 1));
    await get();
    assert.deepEqual(await readFile(target), CONTENT);
  });

  it('tries again after an answer that may pass, and counts tries only while nothing comes', async t => {
    const { get, target } = await scene(t);
    await writeFile(`${target}.part`, CONTENT.subarray(0, 1000));
    await get([503, 429, 500, 408].flatMap((status): Mischief[] => [{ status }, { status }, { partOf: 20_000 }]));
    assert.deepEqual(await readFile(target), CONTENT);
  });

  it('gives up after as many tries as it has patience for, and keeps what came', async t => {
    const { get, target, folder } = await scene(t);
    await assert.rejects(get([{ cutAfter: 50_000 }, { status: 503 }, { status: 503 }, { status: 503 }]), {
      code: 'DOWNLOAD_FAILED',
      message: /127\.0\.0\.1.*the server answers 503, 3 times; \d+ bytes are kept/,
    });
    assert.deepEqual(await readdir(folder), ['net.part']);
    assert.deepEqual(await readFile(`${target}.part`), CONTENT.subarray(0, (await readFile(`${target}.part`)).length));
  });

  it('takes a connection on which nothing moves for a cut one', async t => {
    const { get, target } = await scene(t);
    await get([{ stallAfter: 40_000 }], { patience: { ...PATIENCE, stall: 300 } });
    assert.deepEqual(await readFile(target), CONTENT);
  });

  it('gives up at once where another try would bring the same', async t => {
    for (const status of [401, 403, 404, 410]) {
      const { get, server } = await scene(t);
      await assert.rejects(get([{ status }]), { code: 'DOWNLOAD_FAILED', message: new RegExp(`answers ${status}`) });
      assert.equal(server.requests.length, 1);
    }
  });

  it('refuses a file with another digest, and keeps no byte of it', async t => {
    const { get, folder } = await scene(t);
    await assert.rejects(get([], { sha256: '0'.repeat(64) }), {
      code: 'MODEL_DIGEST_MISMATCH',
      message: new RegExp(`has the SHA-256 ${SHA256}, but the catalogue says 0{64}`),
    });
    assert.deepEqual(await readdir(folder), []);
  });

  it('refuses a file of another size before it comes', async t => {
    for (const content of [CONTENT.subarray(1), Buffer.concat([CONTENT, CONTENT])]) {
      const { get, folder } = await scene(t, content);
      const message = new RegExp(`it has ${content.length} bytes, but the catalogue says ${CONTENT.length}`);
      await assert.rejects(get(), { code: 'DOWNLOAD_FAILED', message });
      assert.deepEqual(await readdir(folder), []);
    }
  });

  it('follows redirections on this machine and to https, never to where content can be exchanged', async t => {
    const { get, target } = await scene(t);
    await get([{ status: 302, location: '/net.onnx' }]);
    assert.deepEqual(await readFile(target), CONTENT);
    for (const location of ['http://example.org/net.onnx', 'ftp://127.0.0.1/net.onnx', 'file:///etc/passwd']) {
      const { get } = await scene(t);
      await assert.rejects(get([{ status: 302, location }]), {
        code: 'DOWNLOAD_FAILED',
        message: /which is not https/,
      });
    }
    const round = await scene(t);
    const moved = Array.from({ length: 11 }, () => ({ status: 302, location: '/net.onnx' }));
    await assert.rejects(round.get(moved), { code: 'DOWNLOAD_FAILED', message: /more than 10 times/ });
  });

  it('stops when it is told to, and keeps what came', async t => {
    const { get, folder } = await scene(t);
    const stop = new AbortController();
    const progress = (bytes: number) => bytes > 0 && stop.abort();
    await assert.rejects(get([{ stallAfter: 40_000 }], { signal: stop.signal, progress }), { code: 'INTERRUPTED' });
    assert.deepEqual(await readdir(folder), ['net.part']);
  });

  it('is one at a time', async t => {
    const { get, target } = await scene(t);
    const lock = await lockFile(`${target}.lock`);
    await assert.rejects(get(), { code: 'OUTPUT_LOCKED' });
    await lock.release();
    await get();
  });

  it('says why where nobody answers', async t => {
    const { get, server } = await scene(t);
    await server.close();
    await assert.rejects(get(), { code: 'DOWNLOAD_FAILED', message: /ECONNREFUSED.*3 times; 0 bytes are kept/ });
  });
});

describe('an address', () => {
  it('is https, or http on this machine', () => {
    for (const good of ['https://a.org/x', 'http://127.0.0.1:1/x', 'http://localhost/x', 'http://[::1]:8/x']) {
      assert.equal(safeAddress(good)?.href, good);
    }
    const bad = [
      'http://a.org/x',
      'http://127.0.0.1.a.org/',
      'http://localhost.a.org',
      'ftp://localhost/',
      'file:///x',
    ];
    for (const address of [...bad, 'x', '']) assert.equal(safeAddress(address), undefined);
  });
});
