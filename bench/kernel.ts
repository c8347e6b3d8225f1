/**
 * The kernel against the plain defender and against scikit-image with NumPy: processor time of one run of an image, and of
 * ten that share work, at 224x224x3 on one thread.
 *
 *     node dist/bench/kernel.js [--json FILE] [--rounds N]
 *
 * All contestants take turns in every round, so that a busy machine slows them alike; ratios are of medians over the rounds.
 * The reference needs Python 3 with venv and, once, the network: its virtual environment is .cache/peers-kernel.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { parseArgs } from 'node:util';
import { type Defender, PLAIN_RGB } from '../src/defense/defender.js';
import { createKernelDefender } from '../src/defense/kernel/kernel-defender.js';
import { plainDefender } from '../src/defense/plain/plain.js';
import { runRandom } from '../src/defense/random.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../src/defense/settings.js';
import type { RgbImage } from '../src/types.js';
import { readNpy } from '../test/helpers/npy.js';
import { fromRoot } from '../test/helpers/root.js';

const SIDE = 224;
const TEN = 10;
const SHA256 = '0'.repeat(64);

const image: RgbImage = {
  width: SIDE,
  height: SIDE,
  data: readNpy(fromRoot(`test/goldens/data/inputs/astronaut_${SIDE}x${SIDE}.npy`)).data as Uint8Array,
};
const out = new Float32Array(SIDE * SIDE * 3);

function settings(changes: Partial<DefenceSettings>): DefenceSettings {
  return { ...PAPER_SETTINGS, seed: 'bench', ...changes };
}

const paper = settings({});
const modern = settings({ variant: 'modern' });
const general: Readonly<Record<string, DefenceSettings>> = {
  'db1, hard': settings({ threshold: 'hard' }),
  'db1, VisuShrink': settings({ shrink: 'visu' }),
  'db1, SureShrink': settings({ shrink: 'sure' }),
  'db1, noise estimated': settings({ sigma: null }),
  'db1, 4,000 deflections': settings({ deflections: 4000 }),
  'db1, rule official': settings({ deflection: 'official', deflections: 200 }),
  'db1, mean of the window': settings({ replace: 'mean' }),
  db2: settings({ wavelet: 'db2' }),
  db4: settings({ wavelet: 'db4' }),
  sym8: settings({ wavelet: 'sym8' }),
  'db2, SureShrink': settings({ wavelet: 'db2', shrink: 'sure' }),
  'denoise, then deflect': settings({ order: ['denoise', 'deflect'] }),
  'denoise alone': settings({ order: ['denoise'] }),
  'deflect alone': settings({ order: ['deflect'] }),
};

/** Processor microseconds of one image: made ready, `runs` runs, released. */
function time(defender: Defender, chosen: DefenceSettings, runs: number, images: number): number {
  const start = process.cpuUsage();
  for (let i = 0; i < images; i++) {
    const prepared = defender.prepare(image, undefined, chosen);
    for (let run = 0; run < runs; run++) prepared.run(runRandom('bench', SHA256, run), out, 0, PLAIN_RGB);
    prepared.release();
  }
  const { user, system } = process.cpuUsage(start);
  return (user + system) / images;
}

/** The reference: a Python process that answers one request at a time. */
class Reference {
  readonly versions: Readonly<Record<string, string>>;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(process: ChildProcess, lines: AsyncIterator<string>, versions: Record<string, string>) {
    this.#process = process;
    this.#lines = lines;
    this.versions = versions;
  }

  /** @returns why there is none, where there is none */
  static async start(pixels: string): Promise<Reference | string> {
    const folder = fromRoot('.cache/peers-kernel');
    const python = join(folder, 'bin', 'python');
    if (!existsSync(join(folder, 'ready'))) {
      if (spawnSync('python3', ['--version']).status !== 0) return 'Python 3 is not installed: no reference.';
      console.error('Making a virtual environment for the reference, once ...');
      for (const [command, ...args] of [
        ['python3', '-m', 'venv', folder],
        [python, '-m', 'pip', 'install', '--quiet', '-r', fromRoot('bench/peers/kernel.txt')],
      ] as const) {
        const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
        if (status !== 0)
          return `The reference could not be installed: none. ${stderr.trim().split('\n').at(-1) ?? ''}`;
      }
      writeFileSync(join(folder, 'ready'), '');
    }
    const child = spawn(python, [fromRoot('bench/peers/kernel.py'), pixels, String(SIDE), String(SIDE)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const reader: Interface = createInterface({ input: child.stdout! });
    const lines = reader[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) return 'The reference did not start: none.';
    return new Reference(child, lines, JSON.parse(first.value) as Record<string, string>);
  }

  async #ask(task: object): Promise<number[]> {
    this.#process.stdin!.write(`${JSON.stringify(task)}\n`);
    const answer = await this.#lines.next();
    if (answer.done) throw new Error('The reference ended.');
    return (JSON.parse(answer.value) as { ms: number[] }).ms;
  }

  /** Processor microseconds of `runs` runs. */
  async time(variant: string, runs: number): Promise<number> {
    return (await this.#ask({ variant, runs, repeats: 1, deflections: paper.deflections }))[0]! * 1000;
  }

  /** Largest difference of its denoised image, without deflections, from the kernel's. */
  async difference(kernel: Defender, chosen: DefenceSettings, scratch: string): Promise<number> {
    const file = join(scratch, 'reference.f64');
    await this.#ask({ variant: chosen.variant, write: file });
    const bytes = readFileSync(file);
    const expected = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
    const prepared = kernel.prepare(image, undefined, { ...chosen, order: ['denoise'] });
    prepared.run(runRandom('bench', SHA256, 0), out, 0, { ...PLAIN_RGB, layout: 'nhwc' });
    prepared.release();
    return out.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i]!)), 0);
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.stdin!.end();
    await ended;
  }
}

interface Row {
  readonly name: string;
  /** Median processor microseconds: kernel, plain defender, reference. */
  readonly kernel: number;
  readonly plain?: number | undefined;
  readonly reference?: number | undefined;
}

class Times {
  readonly #times = new Map<string, number[]>();

  add(name: string, microseconds: number): void {
    const list = this.#times.get(name);
    if (list === undefined) this.#times.set(name, [microseconds]);
    else list.push(microseconds);
  }

  median(name: string): number | undefined {
    const list = this.#times.get(name)?.toSorted((a, b) => a - b);
    return list?.[list.length >> 1];
  }
}

function line(
  name: string,
  kernel: string,
  plain: string,
  plainRatio: string,
  reference: string,
  ratio: string,
): string {
  return [name.padEnd(28), ...[kernel, plain, plainRatio, reference, ratio].map(text => text.padStart(12))].join('');
}

function print(rows: readonly Row[]): void {
  const ms = (value: number | undefined) => (value === undefined ? '-' : (value / 1000).toFixed(3));
  const times = (value: number | undefined, kernel: number) =>
    value === undefined ? '-' : `${(value / kernel).toFixed(1)} x`;
  console.log(line('processor ms an image', 'kernel', 'plain', 'slower by', 'scikit-image', 'slower by'));
  for (const { name, kernel, plain, reference } of rows) {
    console.log(line(name, ms(kernel), ms(plain), times(plain, kernel), ms(reference), times(reference, kernel)));
  }
}

const { values } = parseArgs({ options: { json: { type: 'string' }, rounds: { type: 'string', default: '15' } } });
const rounds = Number(values.rounds);
const kernel = await createKernelDefender();
const scratch = mkdtempSync(join(tmpdir(), 'deflector-bench-'));
try {
  const pixels = join(scratch, 'image.u8');
  writeFileSync(pixels, image.data);
  const started = await Reference.start(pixels);
  const reference = typeof started === 'string' ? undefined : started;
  if (typeof started === 'string') console.error(started);

  const times = new Times();
  const variants = { legacy: paper, modern };
  for (let round = -1; round < rounds; round++) {
    for (const [variant, chosen] of Object.entries(variants)) {
      for (const runs of [1, TEN]) {
        const name = `${variant} ${runs}`;
        // Round -1 warms up: compilers of both languages, caches, the reference's imports.
        const images = round < 0 ? 200 : 40 / runs;
        const kernelTime = time(kernel, chosen, runs, images);
        const plainTime = time(plainDefender, chosen, runs, 1);
        const referenceTime = await reference?.time(variant, runs);
        if (round < 0) continue;
        times.add(`kernel ${name}`, kernelTime);
        times.add(`plain ${name}`, plainTime);
        if (referenceTime !== undefined) times.add(`reference ${name}`, referenceTime);
      }
    }
    for (const [name, chosen] of Object.entries(general)) {
      for (const runs of [1, TEN]) {
        const microseconds = time(kernel, chosen, runs, round < 0 ? 50 : 20 / runs);
        if (round >= 0) times.add(`kernel ${name} ${runs}`, microseconds);
      }
    }
  }

  const row = (name: string, key: string): Row => ({
    name,
    kernel: times.median(`kernel ${key}`)!,
    plain: times.median(`plain ${key}`),
    reference: times.median(`reference ${key}`),
  });
  const rows = Object.keys(variants).flatMap(variant => [
    row(`${variant}, one run`, `${variant} 1`),
    row(`${variant}, ten runs`, `${variant} ${TEN}`),
  ]);
  const fast = { one: times.median('kernel legacy 1')!, ten: times.median(`kernel legacy ${TEN}`)! };
  const others = Object.keys(general).map(name => {
    const one = times.median(`kernel ${name} 1`)!;
    const ten = times.median(`kernel ${name} ${TEN}`)!;
    return { name, one, ten, timesFastOne: one / fast.one, timesFastTen: ten / fast.ten };
  });
  // scikit-image 0.26 no longer clips the planes, so that only `modern` can be compared with it.
  const differences = Object.fromEntries(
    reference === undefined
      ? []
      : await Promise.all(
          Object.entries({ modern }).map(async ([variant, chosen]) => [
            variant,
            await reference.difference(kernel, chosen, scratch),
          ]),
        ),
  ) as Record<string, number>;
  await reference?.stop();

  print(rows);
  console.log(
    `\n${'other settings'.padEnd(28)}${['one run', 'of paper', 'ten runs', 'of paper'].map(t => t.padStart(12)).join('')}`,
  );
  for (const { name, one, ten, timesFastOne, timesFastTen } of others) {
    const cells = [
      (one / 1000).toFixed(3),
      `${timesFastOne.toFixed(1)} x`,
      (ten / 1000).toFixed(3),
      `${timesFastTen.toFixed(1)} x`,
    ];
    console.log(name.padEnd(28) + cells.map(text => text.padStart(12)).join(''));
  }
  for (const [variant, difference] of Object.entries(differences)) {
    console.log(`largest difference from scikit-image, ${variant}: ${difference.toExponential(1)}`);
  }
  if (values.json !== undefined) {
    const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, ...reference?.versions };
    writeFileSync(values.json, `${JSON.stringify({ machine, rounds, rows, others, differences }, undefined, 2)}\n`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
