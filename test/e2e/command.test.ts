/** What scripts rely on: exit codes, what goes to which stream, what is written and what is not. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createDefense } from 'deflector';
import sharp from 'sharp';
import { lockFile } from '../../src/storage/lock-file.js';
import { deflector, startDeflector } from '../helpers/cli.js';
import { checkLeaks } from '../helpers/leaks.js';
import { readNpy } from '../helpers/npy.js';
import { REPOSITORY } from '../helpers/repository.js';
import { writeTinyImages } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

let folder: string;
let model: string;
const at = () => ({ cwd: folder });
const run = (out: string, ...rest: string[]) =>
  deflector(['run', 'in', '--out', out, '--model', model, '--seed', '1', '--gallery', '2', ...rest], at());

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deflector-test-'));
  model = await writeTinyModel(join(folder, 'tiny'));
  await writeTinyImages(join(folder, 'in'), 40);
});
after(() => rm(folder, { recursive: true, force: true }));

describe('deflector run', () => {
  it('ends with 0; plain lines of progress go to standard error, the summary to standard output', async () => {
    const { code, stdout, stderr } = await run('plain');
    assert.equal(code, 0);
    assert.match(stdout, /^Defended 40 of 40 images in /);
    for (const file of ['results.jsonl', 'run.json', 'report.html'])
      assert.ok(stdout.includes(join('plain', file)), file);
    assert.match(stderr, /^Model tiny on onnxruntime-cpu, /);
    assert.match(stderr, /^40 of 40 images \(100 %\)/m);
    // Nothing for a terminal: no escape sequences, no lines written over.
    for (const control of ['\u001b', '\r']) assert.ok(!(stdout + stderr).includes(control));
  });

  it('prints with --json the content of run.json, and nothing else', async () => {
    const { code, stdout, stderr } = await run('json', '--json');
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal(stdout, await readFile(join(folder, 'json/run.json'), 'utf8'));
    const { schema, status, counts, command } = JSON.parse(stdout);
    assert.deepEqual([schema, status, counts.total], ['deflector/run@1', 'complete', 40]);
    // The command that it records makes the same results again.
    const args = (command as string[]).slice(1).map(word => (word === 'json' ? 'again' : word));
    assert.equal((await deflector([...args, '--quiet'], at())).code, 0);
    const digests = ['json', 'again'].map(async out =>
      digestOf(await readFile(join(folder, out, 'results.jsonl'), 'utf8')),
    );
    assert.equal(...((await Promise.all(digests)) as [string, string]));
  });

  it('is silent with --quiet', async () => {
    assert.deepEqual(await run('quiet', '--quiet'), { code: 0, stdout: '', stderr: '' });
  });

  it('does not mind a reader that has seen enough', async () => {
    const { child, outcome } = startDeflector(['run', 'in', '--out', 'pipe', '--model', model, '--seed', '1'], at());
    child.stdout?.destroy();
    child.stderr?.destroy();
    assert.equal((await outcome).code, 0);
    assert.ok((await stat(join(folder, 'pipe/report.html'))).size > 0);
  });

  it('ends with 2 for bad usage, before any work', async () => {
    for (const [args, message] of [
      [['--runs', '0'], 'error SETTINGS_INVALID: Expected an integer from 1 to 1000 for --runs but received "0"'],
      [['--sigma', 'much'], /^error SETTINGS_INVALID: Expected .* for --sigma but received "much"$/],
      [['--vote', 'x'], 'error SETTINGS_INVALID: Expected one of majority, mean, pool for --vote but received "x"'],
      [['--threads', '-1'], /^error SETTINGS_INVALID: Expected .* for --threads but received "-1"$/],
      [['--rnus', '3'], "error COMMAND_INVALID: unknown option '--rnus' (Did you mean --runs?)"],
      [['--config', 'none.yaml'], /^error SETTINGS_INVALID: .*none\.yaml/],
      [['--runtime', 'tpu'], /^error SETTINGS_INVALID: Expected .* for --runtime but received "tpu"$/],
      [['--model', 'nowhere'], /^error MODEL_NOT_FOUND: /],
      [['--localizer', 'nowhere'], /^error MODEL_NOT_FOUND: /],
    ] as const) {
      const { code, stdout, stderr } = await run('never', ...args);
      const [line = '', remedy = '', end] = stderr.split('\n');
      assert.deepEqual([code, stdout, end], [2, '', ''], stderr);
      if (typeof message === 'string') assert.equal(line, message);
      else assert.match(line, message);
      assert.match(remedy, /^[A-Z].*\.$/);
    }
    const missing = await deflector(['run', 'nowhere', '--out', 'never'], at());
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /^error INPUT_NOT_FOUND: /);
    const variable = await deflector(['run', 'in', '--out', 'never'], { ...at(), env: { DEFLECTOR_RUNS: 'ten' } });
    assert.match(variable.stderr, /^error SETTINGS_INVALID: Expected .* for DEFLECTOR_RUNS but received "ten"\n/);
    assert.ok(!(await readdir(folder)).includes('never'));
  });

  it('ends with 2 where there are results already, and where another process writes them', async () => {
    await run('taken', '--quiet');
    const existing = await run('taken');
    assert.equal(existing.code, 2);
    assert.match(existing.stderr, /^error OUTPUT_EXISTS: .*taken\/results\.jsonl\n.*--resume.*--overwrite/);
    await mkdir(join(folder, 'shared'));
    // This process is the other writer: a job would have to be caught in the middle.
    const lock = await lockFile(join(folder, 'shared/results.jsonl.lock'));
    const locked = await run('shared');
    await lock.release();
    assert.equal(locked.code, 2);
    assert.match(
      locked.stderr,
      new RegExp(`^error OUTPUT_LOCKED: The output is being written by process ${process.pid} `),
    );
  });
});

describe('deflector defend', () => {
  const coffee = join(REPOSITORY, 'samples/coffee.jpg');

  it('writes as .npy what the library gives', async () => {
    const { code, stdout } = await deflector(['defend', coffee, '--out', 'run.npy', '--seed', '7'], at());
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^run\.npy: run 0 of seed 7, 224 x 224\n {2}undefended {2}espresso .*\n {2}defended {4}espresso /,
    );
    const { dtype, shape, data } = readNpy(join(folder, 'run.npy'));
    assert.deepEqual([dtype, shape], ['float32', [224, 224, 3]]);
    const defense = await createDefense({ seed: '7' });
    const { planes } = await defense.defendPixels(await defense.read(await readFile(coffee)));
    await defense.close();
    const expected = Float32Array.from(data, (_, i) => planes[(i % 3) * 224 * 224 + Math.floor(i / 3)]!);
    assert.deepEqual(data, expected);
  });

  it("writes as .png the same, rounded to 8 bits; at the image's own size where asked", async () => {
    assert.equal((await deflector(['defend', coffee, '--out', 'run.png', '--seed', '7', '--quiet'], at())).code, 0);
    const { data, info } = await sharp(join(folder, 'run.png')).raw().toBuffer({ resolveWithObject: true });
    assert.deepEqual([info.width, info.height, info.channels], [224, 224, 3]);
    const npy = readNpy(join(folder, 'run.npy'));
    const rounded = Uint8Array.from(npy.data, value => Math.floor(Math.min(Math.max(value, 0), 1) * 255 + 0.5));
    assert.deepEqual(Uint8Array.from(data), rounded);
    const own = ['defend', coffee, '--out', 'own.png', '--at', 'original', '--quiet'];
    assert.equal((await deflector(own, at())).code, 0);
    const { width, height } = await sharp(join(folder, 'own.png')).metadata();
    assert.deepEqual([width, height], [600, 400]);
  });

  it('prints with --json the verdict', async () => {
    const { stdout } = await deflector(['defend', coffee, '--out', 'json.png', '--seed', '7', '--json'], at());
    const { status, runs, seed } = JSON.parse(stdout);
    assert.deepEqual([status, runs, seed], ['ok', 1, '7']);
  });

  it('ends with 1 for an image that cannot be defended, with 2 for a file that it cannot write', async () => {
    const bad = await deflector(['defend', join(folder, 'tiny/config.json'), '--out', 'x.png'], at());
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /^error IMAGE_UNSUPPORTED: /);
    const gif = await deflector(['defend', coffee, '--out', 'x.gif'], at());
    assert.deepEqual(
      [gif.code, gif.stderr.split('\n')[0]],
      [2, 'error SETTINGS_INVALID: Expected a file name that ends in .png or .npy for --out but received "x.gif"'],
    );
    const two = await deflector(['defend', 'in', '--out', 'x.png'], at());
    assert.match(two.stderr, /^error SETTINGS_INVALID: Expected one image file for IMAGE but received "in"\n/);
    assert.ok(!(await readdir(folder)).some(name => name.startsWith('x.')));
  });
});

describe('deflector explain', () => {
  it('draws one panel', async () => {
    const image = join(REPOSITORY, 'samples/chelsea.png');
    const { code, stdout } = await deflector(['explain', image, '--out', 'panel.png', '--seed', '1'], at());
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^panel\.png: chelsea\.png.*\n {2}undefended .*\n {2}voted .*of \d+ runs executed \(10 asked for\)\n$/,
    );
    const { format, width, height } = await sharp(join(folder, 'panel.png')).metadata();
    assert.equal(format, 'png');
    assert.ok(width > 1000 && height > 300, `${width} x ${height}`);
    const { stderr, code: refused } = await deflector(['explain', image, '--out', 'p.png', '--scale', '9'], at());
    assert.deepEqual(
      [refused, stderr.split('\n')[0]],
      [2, 'error SETTINGS_INVALID: Expected 1, 2, 3 or 4 for --scale but received "9"'],
    );
  });
});

function digestOf(results: string): string {
  return createHash('sha256')
    .update(results.replace(/,"ms":\{[^{}]*\}\}\n/g, '}\n'))
    .digest('hex');
}
