import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { deflector } from '../helpers/cli.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { readNpy } from '../helpers/npy.js';
import { fromRoot } from '../helpers/root.js';

checkLeaks();

const SAMPLE = fromRoot('samples/chelsea.png');

async function records(out: string): Promise<Record<string, never>[]> {
  const text = await readFile(join(out, 'attacks.jsonl'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
}

describe('deflector attack', () => {
  it('lists the attacks, and shows the parameters of each with their defaults', async () => {
    const list = await deflector(['attack']);
    assert.equal(list.code, 0);
    assert.match(list.stdout, /fgsm +Fast gradient sign method \(Goodfellow et al\., ICLR 2015; by gradients\)/);
    const { code, stdout } = await deflector(['attack', 'pgd', '--help']);
    assert.equal(code, 0);
    assert.match(stdout.replace(/\s+/g, ' '), /--epsilon <x> largest change .*\(default: 8\/255\)/);
  });

  it('refuses an unknown attack, option or value with exit code 2', async () => {
    const attempts: [string[], RegExp][] = [
      [['attack', 'fgsmm', SAMPLE, '--out', 'x'], /did you mean fgsm/],
      [['attack', 'fgsm', SAMPLE, '--out', 'x', '--steps', '3'], /unknown option '--steps'/],
      [['attack', 'fgsm', SAMPLE, '--out', 'x', '--epsilon', '2'], /Expected a number from 0 to 1.* for --epsilon/],
      [['attack', 'fgsm', SAMPLE], /required option '--out/],
    ];
    for (const [args, message] of attempts) {
      const { code, stderr } = await deflector(args);
      assert.equal(code, 2, args.join(' '));
      assert.match(stderr, message);
    }
  });

  it('writes images that `run` sees exactly as they were measured', async t => {
    const folder = await temporaryFolder(t);
    const out = join(folder, 'attacked');
    const made = await deflector(['attack', 'fgsm', SAMPLE, '--out', out, '--npy', '--seed', '7', '--json']);
    assert.equal(made.code, 0, made.stderr);
    const run = JSON.parse(made.stdout);
    assert.deepEqual([run.schema, run.status, run.attack], ['deflector/attack-run@1', 'complete', 'fgsm']);
    assert.deepEqual(run, JSON.parse(await readFile(join(out, 'run.json'), 'utf8')));
    const [record] = (await records(out)) as unknown as [
      {
        file: string;
        exact: boolean;
        fooled: boolean;
        linf: number;
        adversarial: { index: number };
        label: { index: number };
      },
    ];
    assert.ok(record.exact);
    assert.ok(Math.abs(record.linf - 8 / 255) < 1e-6);
    assert.equal(record.fooled, record.adversarial.index !== record.label.index);
    const tensor = readNpy(join(out, `${record.file}.npy`));
    assert.deepEqual([tensor.dtype, tensor.shape], ['float32', [224, 224, 3]]);
    const seen = join(folder, 'seen');
    const defended = await deflector([
      'run',
      out,
      '--out',
      seen,
      '--runs',
      '1',
      '--deflection',
      'none',
      '--shrink',
      'none',
      '--quiet',
    ]);
    assert.equal(defended.code, 0, defended.stderr);
    const verdict = JSON.parse((await readFile(join(seen, 'results.jsonl'), 'utf8')).split('\n')[0]!);
    assert.equal(verdict.undefended.index, record.adversarial.index);
  });

  it('goes on with an interrupted job where it stopped, and refuses to go on differently', async t => {
    const folder = await temporaryFolder(t);
    const [photos, whole, part] = ['photos', 'whole', 'part'].map(name => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await mkdir(photos);
    for (const name of ['a.png', 'b.png']) await copyFile(SAMPLE, join(photos, name));
    await writeFile(join(photos, 'c.png'), 'no image');
    const args = (out: string, ...more: string[]) => [
      'attack',
      'pgd',
      photos,
      '--out',
      out,
      '--seed',
      '7',
      '--quiet',
      ...more,
    ];
    assert.equal((await deflector(args(whole))).code, 1);
    assert.equal((await deflector(args(part))).code, 1);
    const first = (await readFile(join(part, 'attacks.jsonl'), 'utf8')).split('\n')[0]!;
    // As a crash leaves it: one whole line, and the beginning of another.
    await truncate(join(part, 'attacks.jsonl'), Buffer.byteLength(first) + 20);
    assert.equal((await deflector(args(part))).code, 2);
    const other = await deflector(args(part, '--resume', '--epsilon', '2/255'));
    assert.equal(other.code, 2);
    assert.match(other.stderr, /RESUME_MISMATCH: The job began with --epsilon/);
    assert.equal((await deflector(['attack', 'pgd', photos, '--out', part, '--resume', '--quiet'])).code, 1);
    const plain = (all: Record<string, unknown>[]) => all.map(({ ms: _, ...record }) => record);
    assert.deepEqual(plain(await records(part)), plain(await records(whole)));
    const figures = async (out: string) => JSON.parse(await readFile(join(out, 'run.json'), 'utf8')).figures;
    assert.deepEqual(await figures(part), await figures(whole));
    assert.equal((await figures(part)).errors, 1);
  });
});
