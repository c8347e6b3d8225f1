/** What people feed a job with by mistake, and what attackers do: one verdict each, and the rest goes on. */
import assert from 'node:assert/strict';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { deflector, type Outcome } from '../helpers/cli.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { REPOSITORY } from '../helpers/repository.js';
import { timelessLines, verdictsOf } from '../helpers/results.js';
import { writeTinyImages } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';
import { blackPng, encode, gradient, noise } from '../images/fixtures.js';

checkLeaks();

/** For root, permissions mean something only without the right to override them. */
const WITHOUT_OVERRIDE = process.geteuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : [];

const GOOD = await encode(gradient(40, 30), 'jpeg');

/** What lies in the folder, and what becomes of it. */
const FILES: Readonly<Record<string, readonly [bytes: Buffer, code: string]>> = {
  '-leading-dash.jpg': [GOOD, 'ok'],
  '1x1.png': [await encode(noise(1, 1), 'png'), 'ok'],
  '1x5000.png': [await encode(noise(1, 5000), 'png'), 'ok'],
  '5000x1.png': [await encode(noise(5000, 1), 'png'), 'ok'],
  'directory.jpg/inside.jpg': [GOOD, 'ok'],
  'emoji-🐈.jpg': [GOOD, 'ok'],
  'empty.jpg': [Buffer.alloc(0), 'IMAGE_EMPTY'],
  'huge.png': [blackPng(100_000, 100_000, 1), 'IMAGE_TOO_MANY_PIXELS'],
  'new\nline.jpg': [GOOD, 'ok'],
  'page.jpg': [Buffer.from('%PDF-1.7\n%âãÏÓ\n'), 'IMAGE_UNSUPPORTED'],
  'picture.jpg': [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), 'IMAGE_UNSUPPORTED'],
  'secret.jpg': [GOOD, 'IMAGE_PERMISSION'],
  'text.jpg': [Buffer.from('Dear all, please find attached\n'), 'IMAGE_UNSUPPORTED'],
  'torn.jpg': [GOOD.subarray(0, GOOD.length >> 1), 'IMAGE_TRUNCATED'],
};

/** What only links and folders can be. */
const LINKS: Readonly<Record<string, readonly [target: string, code: string]>> = {
  'dangling.jpg': ['nowhere.jpg', 'IMAGE_NOT_A_FILE'],
  'loop.jpg': ['loop.jpg', 'IMAGE_NOT_A_FILE'],
  'outside.jpg': ['../outside.jpg', 'IMAGE_LINK_OUTSIDE'],
  'within.jpg': ['1x1.png', 'ok'],
};

/** Lines of a manifest in a folder of its own, the key that each gets, and its code. */
const MANIFEST = [
  ['{"key":"good.jpg"}', 'list/good.jpg', 'ok'],
  ['{"key":"gone.jpg"}', 'list/gone.jpg', 'IMAGE_NOT_FOUND'],
  ['{"key":"folder.jpg"}', 'list/folder.jpg', 'IMAGE_NOT_A_FILE'],
  ['{"key":"../in/1x1.png"}', 'list/../in/1x1.png', 'KEY_INVALID'],
  ['{"key":"/etc/hostname"}', 'list//etc/hostname', 'KEY_INVALID'],
  ['{"key":', 'list/list.jsonl:6', 'MANIFEST_LINE_INVALID'],
  ['["good.jpg"]', 'list/list.jsonl:7', 'MANIFEST_LINE_INVALID'],
  ['{"key":"good.jpg"}', 'list/good.jpg', 'ok'],
] as const;

describe('a folder and a manifest full of bad input', () => {
  let folder: string;
  let outcome: Outcome;
  const run = (out: string, ...rest: string[]) =>
    deflector(['run', 'in', 'list/list.jsonl', '--out', out, '--seed', '1', '--runs', '2', '--quiet', ...rest], {
      cwd: folder,
      under: WITHOUT_OVERRIDE,
    });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deflector-test-'));
    await mkdir(join(folder, 'in/directory.jpg'), { recursive: true });
    for (const [name, [bytes]] of Object.entries(FILES)) await writeFile(join(folder, 'in', name), bytes);
    for (const [name, [target]] of Object.entries(LINKS)) await symlink(target, join(folder, 'in', name));
    await writeFile(join(folder, 'outside.jpg'), GOOD);
    await chmod(join(folder, 'in/secret.jpg'), 0);
    await mkdir(join(folder, 'list/folder.jpg'), { recursive: true });
    await writeFile(join(folder, 'list/good.jpg'), GOOD);
    await writeFile(join(folder, 'list/list.jsonl'), MANIFEST.map(([line]) => `${line}\n`).join(''));
    outcome = await run('out');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('ends with exit code 1, and says nothing when it is told to be quiet', () => {
    assert.deepEqual(outcome, { code: 1, stdout: '', stderr: '' });
  });

  it('gives each image exactly one verdict, with its code', async () => {
    const verdicts = await verdictsOf(join(folder, 'out/results.jsonl'));
    const codes = verdicts.map(verdict => [verdict.key, verdict.status === 'ok' ? 'ok' : verdict.error.code]);
    const listed = Object.entries({ ...FILES, ...LINKS })
      .map(([name, [, code]]) => [`in/${name}`, code] as const)
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual(codes, [...listed, ...MANIFEST.map(([, key, code]) => [key, code])]);
  });

  it('says for each error what is wrong, in one line', async () => {
    for (const verdict of await verdictsOf(join(folder, 'out/results.jsonl'))) {
      if (verdict.status === 'ok') continue;
      assert.match(verdict.error.message, /^\w[^\n]{10,300}$/);
      assert.equal(verdict.error.retryable, false);
    }
  });

  it('counts them in run.json and shows them in the report', async () => {
    const run = JSON.parse(await readFile(join(folder, 'out/run.json'), 'utf8'));
    assert.deepEqual(run.counts.errors, {
      ...{ IMAGE_EMPTY: 1, IMAGE_LINK_OUTSIDE: 1, IMAGE_NOT_A_FILE: 3, IMAGE_NOT_FOUND: 1, IMAGE_PERMISSION: 1 },
      ...{
        IMAGE_TOO_MANY_PIXELS: 1,
        IMAGE_TRUNCATED: 1,
        IMAGE_UNSUPPORTED: 3,
        KEY_INVALID: 2,
        MANIFEST_LINE_INVALID: 2,
      },
    });
    assert.match(await readFile(join(folder, 'out/report.html'), 'utf8'), /IMAGE_TRUNCATED/);
  });

  it('ends with exit code 0 where so many errors are allowed, and with the same bytes', async () => {
    assert.equal((await run('tolerant', '--max-errors', '16')).code, 0);
    assert.equal((await run('tolerant', '--max-errors', '15', '--overwrite')).code, 1);
    const lines = (out: string) => timelessLines(join(folder, out, 'results.jsonl'));
    assert.deepEqual(await lines('tolerant'), await lines('out'));
  });
});

describe('a model that is corrupt', () => {
  for (const [what, corrupt] of [
    ['cut off', (path: string) => truncate(path, 1000)],
    ['of other bytes', (path: string) => writeFile(path, Buffer.alloc(4096, 'x'))],
    ['empty', (path: string) => truncate(path, 0)],
  ] as const) {
    it(`(${what}) is bad usage, before any work`, async t => {
      const folder = await temporaryFolder(t);
      await cp(join(REPOSITORY, 'models/efficientnet-lite0'), join(folder, 'model'), { recursive: true });
      await corrupt(join(folder, 'model/onnx/model.onnx'));
      await writeFile(join(folder, 'a.jpg'), GOOD);
      const { code, stdout, stderr } = await deflector(['run', 'a.jpg', '--out', 'out', '--model', './model'], {
        cwd: folder,
      });
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, /^error MODEL_(?:DIGEST_MISMATCH|INVALID): .+\n.+\n$/);
      assert.deepEqual((await readdir(folder)).sort(), ['a.jpg', 'model']);
    });
  }
});

describe('a disk that is full', () => {
  it('ends the job with whole verdicts only, and --resume completes it to the same bytes', async t => {
    const folder = await temporaryFolder(t);
    await writeTinyImages(join(folder, 'in'), 80);
    const model = await writeTinyModel(join(folder, 'tiny'));
    const args = (out: string) => ['run', 'in', '--out', out, '--seed', '1', '--model', model, '--quiet'];
    const at = { cwd: folder };
    assert.deepEqual(await deflector(args('whole'), at), { code: 0, stdout: '', stderr: '' });
    // No file may grow beyond this: the results do, after some 30 of their lines.
    const full = await deflector(args('out'), { ...at, under: ['prlimit', '--fsize=30000'] });
    assert.deepEqual([full.code, full.stdout], [3, '']);
    assert.match(full.stderr, /^error STORE_FULL: .*results\.jsonl"\nFree space at the destination.*\n$/);
    const run = JSON.parse(await readFile(join(folder, 'out/run.json'), 'utf8'));
    assert.deepEqual([run.status, run.failure.code], ['failed', 'STORE_FULL']);
    const lines = (out: string) => timelessLines(join(folder, out, 'results.jsonl'));
    const written = await lines('out');
    assert.ok(written.length > 0 && written.length < 80);
    assert.deepEqual(written, (await lines('whole')).slice(0, written.length));
    const resumed = await deflector([...args('out'), '--resume'], at);
    assert.deepEqual(resumed, { code: 0, stdout: '', stderr: '' });
    assert.deepEqual(await lines('out'), await lines('whole'));
  });
});
