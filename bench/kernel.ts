/**
 * The kernel against the plain defender and against scikit-image with NumPy: processor time of one run of an image, and of
 * ten that share work, at 224x224x3 on one thread.
 *
 *     node dist/bench/kernel.js [--rounds N] [--json FILE]
 *
 * All take turns in every round, so that a busy machine slows them alike; ratios are medians over the rounds. Processor
 * time is that of the whole process, its compiler and its garbage collector included.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Defender, PLAIN_RGB } from '../src/defense/defender.js';
import { createKernelDefender } from '../src/defense/kernel/kernel-defender.js';
import { plainDefender } from '../src/defense/plain/plain.js';
import { runRandom } from '../src/defense/random.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../src/defense/settings.js';
import type { RgbImage } from '../src/types.js';
import { readNpy } from '../test/helpers/npy.js';
import { atLeast, benchCommand, runBenchCommand } from './lib/command.js';
import { fromRoot, withScratch } from './lib/folders.js';
import { pythonFor } from './lib/python.js';
import { median, medianRatio, table } from './lib/statistics.js';

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

/** bench/peers/kernel.py: a Python process that answers one request at a time. */
class Reference {
  readonly versions: Readonly<Record<string, string>>;
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(process: ChildProcess, answers: AsyncIterator<string>, versions: Record<string, string>) {
    this.#process = process;
    this.#answers = answers;
    this.versions = versions;
  }

  /** @returns why there is none, where there is none */
  static async start(scratch: string): Promise<Reference | string> {
    const python = pythonFor('kernel.txt');
    if ('missing' in python) return python.missing;
    const pixels = join(scratch, 'image.u8');
    writeFileSync(pixels, image.data);
    const child = spawn(python.path, [fromRoot('bench/peers/kernel.py'), pixels, String(SIDE), String(SIDE)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await answers.next();
    if (first.done) return 'The reference did not start.';
    return new Reference(child, answers, JSON.parse(first.value) as Record<string, string>);
  }

  async #ask(task: object): Promise<number[]> {
    this.#process.stdin!.write(`${JSON.stringify(task)}\n`);
    const answer = await this.#answers.next();
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

/** Processor microseconds of every round, by contestant. */
class Times {
  readonly #times = new Map<string, number[]>();

  add(name: string, microseconds: number): void {
    const list = this.#times.get(name);
    if (list === undefined) this.#times.set(name, [microseconds]);
    else list.push(microseconds);
  }

  of(name: string): readonly number[] {
    return this.#times.get(name) ?? [];
  }
}

interface Options {
  readonly rounds: number;
}

const VARIANTS = { legacy: paper, modern };

async function takeTurns(kernel: Defender, reference: Reference | undefined, rounds: number): Promise<Times> {
  const times = new Times();
  for (let round = -1; round < rounds; round++) {
    // Round -1 warms up: the compilers of both languages, caches, the reference's imports.
    const note = (name: string, microseconds: number) => {
      if (round >= 0) times.add(name, microseconds);
    };
    for (const [variant, chosen] of Object.entries(VARIANTS)) {
      for (const runs of [1, TEN]) {
        note(`kernel ${variant} ${runs}`, time(kernel, chosen, runs, round < 0 ? 200 : 40 / runs));
        note(`plain ${variant} ${runs}`, time(plainDefender, chosen, runs, 1));
        if (reference !== undefined) note(`reference ${variant} ${runs}`, await reference.time(variant, runs));
      }
    }
    for (const [name, chosen] of Object.entries(general)) {
      for (const runs of [1, TEN])
        note(`kernel ${name} ${runs}`, time(kernel, chosen, runs, round < 0 ? 50 : 20 / runs));
    }
  }
  return times;
}

/** One row: the kernel, and how many times slower another is. */
function beside(times: Times, key: string, other: string) {
  const [kernel, slower] = [times.of(`kernel ${key}`), times.of(`${other} ${key}`)];
  return slower.length === 0 ? undefined : { ms: median(slower) / 1000, ratio: medianRatio(slower, kernel) };
}

async function measure({ rounds }: Options): Promise<unknown> {
  return withScratch(async scratch => {
    const kernel = await createKernelDefender();
    const started = await Reference.start(scratch);
    const reference = typeof started === 'string' ? undefined : started;
    if (typeof started === 'string') console.log(`${started} Measuring without scikit-image.`);
    const times = await takeTurns(kernel, reference, rounds);

    const rows = Object.keys(VARIANTS).flatMap(variant =>
      [1, TEN].map(runs => {
        const key = `${variant} ${runs}`;
        return {
          name: `${variant}, ${runs === 1 ? 'one run' : 'ten runs'}`,
          ms: median(times.of(`kernel ${key}`)) / 1000,
          plain: beside(times, key, 'plain'),
          scikitImage: beside(times, key, 'reference'),
        };
      }),
    );
    const others = Object.keys(general).map(name => {
      const [one, ten] = [times.of(`kernel ${name} 1`), times.of(`kernel ${name} ${TEN}`)];
      return {
        name,
        oneMs: median(one) / 1000,
        oneOfPaper: medianRatio(one, times.of('kernel legacy 1')),
        tenMs: median(ten) / 1000,
        tenOfPaper: medianRatio(ten, times.of(`kernel legacy ${TEN}`)),
      };
    });
    // Only `modern` is what scikit-image 0.26 computes: the releases that `legacy` follows clipped every plane.
    const difference = await reference?.difference(kernel, modern, scratch);
    await reference?.stop();

    const ms = (value: number | undefined) => (value === undefined ? '-' : value.toFixed(3));
    const ratio = (value: number | undefined) => (value === undefined ? '-' : `${value.toFixed(1)} x`);
    console.log(
      table([
        ['processor ms an image', 'kernel', 'plain', 'slower by', 'scikit-image', 'slower by'],
        ...rows.map(row => [
          row.name,
          ms(row.ms),
          ms(row.plain?.ms),
          ratio(row.plain?.ratio),
          ms(row.scikitImage?.ms),
          ratio(row.scikitImage?.ratio),
        ]),
      ]),
    );
    console.log(
      `\n${table([
        ['other settings', 'one run', 'of paper', 'ten runs', 'of paper'],
        ...others.map(row => [row.name, ms(row.oneMs), ratio(row.oneOfPaper), ms(row.tenMs), ratio(row.tenOfPaper)]),
      ])}`,
    );
    if (difference !== undefined) {
      console.log(
        `\nlargest difference from scikit-image, modern, without deflections: ${difference.toExponential(1)}`,
      );
    }
    return { rows, others, difference, peers: reference?.versions };
  });
}

await runBenchCommand(
  benchCommand<Options>(
    'kernel',
    'The defence of one image on one thread: the kernel, the plain defender, scikit-image with NumPy.',
    measure,
  ).option('--rounds <n>', 'times that all take their turn', atLeast(1), 15),
);
