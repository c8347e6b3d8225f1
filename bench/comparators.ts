/**
 * Processor milliseconds an image of each comparator at 224x224, one thread; with --peers beside the Python libraries that people use.
 *
 *     node dist/bench/comparators.js [--peers]
 *
 * --peers makes a virtual environment in .cache/peers-comparators (Python 3 with venv, and the network, once).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { COMPARATORS, parseOrder } from '../src/comparators/order.js';
import { makePatchBank } from '../src/comparators/quilting.js';
import { resampleBilinear } from '../src/comparators/resample.js';
import { runRandom } from '../src/defense/random.js';
import { readNpy } from '../test/helpers/npy.js';
import { fromRoot } from '../test/helpers/root.js';

const SIDE = 224;
const REPEATS = 7;
const PATCHES = 20_000;

interface Peers {
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: Readonly<Record<string, { readonly call: string; readonly ms: number }>>;
}

/** A photograph of the reference values, enlarged from 64x64. */
function photograph(name: string): Float32Array {
  const { data } = readNpy(fromRoot(`test/goldens/data/inputs/${name}.npy`));
  const small = [0, 1, 2].map(c => Float32Array.from({ length: 64 * 64 }, (_, i) => data[3 * i + c]! / 255));
  const planes = new Float32Array(3 * SIDE * SIDE);
  for (const [c, plane] of small.entries()) {
    planes.set(resampleBilinear(plane, 0, 64, [64, 64], [SIDE, SIDE]), c * SIDE * SIDE);
  }
  return planes.map(value => Math.round(value * 255) / 255);
}

const image = photograph('noisy_astronaut_64x64');
const source = runRandom('bench', '0'.repeat(64), 0);
const patches = makePatchBank([{ planes: photograph('coffee_64x64'), width: SIDE, height: SIDE }], PATCHES, source);

function milliseconds(text: string): number {
  const [step] = parseOrder(text);
  if (step?.kind !== 'comparator') throw new Error(`${text} is no comparator`);
  const times: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const planes = Float32Array.from(image);
    // Processor time, so that other work on the machine does not count.
    const start = process.cpuUsage();
    step.step.apply(planes, SIDE, SIDE, source, { patches });
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / 1000);
  }
  return times.toSorted((a, b) => a - b)[REPEATS >> 1]!;
}

function peers(): Peers | string {
  const folder = fromRoot('.cache/peers-comparators');
  const python = join(folder, 'bin', 'python');
  const here = fromRoot('bench/peers');
  if (!existsSync(join(folder, 'ready'))) {
    if (spawnSync('python3', ['--version']).status !== 0) return 'Python 3 is not installed: no peers.';
    console.error('Making a virtual environment for the peers, once ...');
    for (const [command, ...args] of [
      ['python3', '-m', 'venv', folder],
      [python, '-m', 'pip', 'install', '--quiet', '-r', join(here, 'comparators.txt')],
    ] as const) {
      const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
      if (status !== 0) return `The peers could not be installed: no peers. ${stderr.trim().split('\n').at(-1) ?? ''}`;
    }
    writeFileSync(join(folder, 'ready'), '');
  }
  const scratch = mkdtempSync(join(tmpdir(), 'deflector-bench-'));
  try {
    const file = join(scratch, 'image.f32');
    writeFileSync(file, image);
    const { status, stdout, stderr } = spawnSync(
      python,
      [join(here, 'comparators.py'), file, String(SIDE), String(SIDE)],
      {
        encoding: 'utf8',
        env: { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' },
      },
    );
    if (status !== 0) return `The peers failed: ${stderr.trim().split('\n').at(-1) ?? ''}`;
    return JSON.parse(stdout) as Peers;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

const measured = process.argv.includes('--peers') ? peers() : undefined;
const rows: Peers['rows'] = typeof measured === 'object' ? measured.rows : {};
const texts = new Set([
  ...COMPARATORS.map(({ parse }) => parse('').text),
  'median:3',
  'dct:0.04-1',
  ...Object.keys(rows),
]);

console.log(
  `Node.js ${process.version}, ${cpus()[0]?.model ?? 'unknown processor'}, ${SIDE}x${SIDE}x3, processor time, median of ${REPEATS}`,
);
if (typeof measured === 'string') console.log(measured);
else if (measured) console.log(Object.entries(measured.versions).flat().join(' '));
console.log(`${'step'.padEnd(34)}${'ms'.padStart(8)}   ${measured ? 'peer, ms, peer / ours' : ''}`);
for (const text of texts) {
  const ours = milliseconds(text);
  const peer = rows[text];
  const beside = peer ? `${peer.call}: ${peer.ms.toFixed(2)} ms, ${(peer.ms / ours).toFixed(2)}x` : '';
  console.log(`${text.padEnd(34)}${ours.toFixed(1).padStart(8)}   ${beside}`.trimEnd());
}
