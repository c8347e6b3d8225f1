/**
 * Attacks beside those of Foolbox, on the same model, images and budgets.
 *
 *     node dist/bench/attacks.js FOLDER [--images 8] [--python python3]
 *
 * FOLDER holds photographs; labels are the model's own. The Python needs bench/peers/attacks.txt. Success and median L2 (over
 * the fooled, |x - x'| / |x|) are of the exact pixels, before any rounding. Seconds are processor time an image, on one
 * thread of ONNX Runtime here and on all that JAX takes there, compilation included. Prints JSON, one case a line.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isFooled, topClass } from '../src/attacks/attack.js';
import { ATTACKS } from '../src/attacks/catalogue.js';
import { ModelQueries } from '../src/attacks/model-queries.js';
import { resolveParameters } from '../src/attacks/resolve-parameters.js';
import { runRandom } from '../src/defense/random.js';
import { imageDistance } from '../src/evaluation/statistics.js';
import { decodeImage } from '../src/images/decode.js';
import { preprocess } from '../src/images/preprocess.js';
import { encodeNpy } from '../src/images/write.js';
import { openModel } from '../src/models/registry.js';
import { openDifferentiable } from '../src/models/runtimes.js';

/** Budgets at which neither succeeds on all images, and the searches of both for the smallest distance. */
const CASES: readonly { readonly attack: string; readonly parameters: Readonly<Record<string, unknown>> }[] = [
  { attack: 'fgsm', parameters: { epsilon: 1 / 255 } },
  { attack: 'pgd', parameters: { epsilon: 0.5 / 255, step: 0.125 / 255, steps: 10, form: 'full' } },
  { attack: 'deepfool', parameters: { steps: 50, candidates: 10, overshoot: 0.02, judge: 'exact' } },
  {
    attack: 'cw',
    parameters: { steps: 60, searches: 4, rate: 0.01, confidence: 0, constant: 1, judge: 'exact' },
  },
];

const { values, positionals } = parseArgs({
  options: { images: { type: 'string', default: '8' }, python: { type: 'string', default: 'python3' } },
  allowPositionals: true,
});
const [photos] = positionals;
if (photos === undefined) throw new TypeError('usage: attacks.js FOLDER [--images N] [--python PYTHON]');

const model = await openModel('efficientnet-lite0');
const classifier = await openDifferentiable(model);
const { width, height } = model.preprocessing;
const size = 3 * width * height;
const names = (await readdir(photos)).sort().slice(0, Number(values.images));
const images = await Promise.all(names.map(async name => planes(await readFile(join(photos, name)))));
const queries = new ModelQueries(classifier, 4);
const labels = await Promise.all(
  images.map(async image => topClass(await queries.subject(image, 0, { uniform: () => 0 }).subject.scores(image))),
);

const folder = await mkdtemp(join(tmpdir(), 'deflector-attacks-'));
try {
  const all = new Float32Array(images.length * size);
  for (const [n, image] of images.entries()) all.set(image, n * size);
  await writeFile(join(folder, 'clean.npy'), encodeNpy(all, [images.length, 3, height, width]));
  await writeFile(join(folder, 'labels.json'), JSON.stringify(labels));
  await writeFile(join(folder, 'cases.json'), JSON.stringify(CASES));
  const ours = [];
  for (const { attack, parameters } of CASES) ours.push(await measured(attack, parameters));
  const script = fileURLToPath(new URL('../../bench/peers/attacks.py', import.meta.url));
  const peer = spawn(values.python, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: peer.stdout })) {
    const { attack, ...foolbox } = JSON.parse(line) as { attack: string };
    const deflector = ours.find(made => made.attack === attack);
    process.stdout.write(`${JSON.stringify({ attack, images: images.length, deflector, foolbox })}\n`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
  await classifier.dispose();
}

async function measured(name: string, given: Readonly<Record<string, unknown>>) {
  const attack = ATTACKS.find(known => known.name === name)!;
  const parameters = resolveParameters(attack, given);
  const before = process.cpuUsage();
  const found = await Promise.all(
    images.map(async (image, n) => {
      const random = runRandom('bench', String(n).padStart(64, '0'), 0);
      const { subject, calls } = queries.subject(image, labels[n]!, random);
      return { pixels: await attack.run(subject, parameters), calls };
    }),
  );
  const { user, system } = process.cpuUsage(before);
  const distances: number[] = [];
  for (const [n, { pixels }] of found.entries()) {
    const { subject } = queries.subject(pixels, labels[n]!, { uniform: () => 0 });
    if (isFooled(await subject.scores(pixels), labels[n]!)) {
      distances.push(imageDistance(images[n]!, pixels).l2Normalised);
    }
  }
  return {
    attack: name,
    success: distances.length / images.length,
    medianL2: median(distances),
    processorSeconds: (user + system) / 1e6 / images.length,
    gradients: found.reduce((sum, { calls }) => sum + calls.gradients, 0) / images.length,
  };
}

async function planes(bytes: Uint8Array): Promise<Float32Array> {
  const { data } = preprocess(await decodeImage(bytes), model.preprocessing);
  const area = width * height;
  return Float32Array.from({ length: size }, (_, i) => data[3 * (i % area) + Math.floor(i / area)]! / 255);
}

/** As NumPy has it: the mean of the middle two. */
function median(given: readonly number[]): number | null {
  const sorted = [...given].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return sorted.length === 0 ? null : (sorted[Math.floor(half)]! + sorted[Math.ceil(half) - 1]!) / 2;
}
