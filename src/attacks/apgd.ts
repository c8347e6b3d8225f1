/**
 * Auto-PGD: projected gradient ascent with momentum whose step halves by itself where the loss stops growing.
 * Croce, Hein, 'Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks', ICML
 * 2020, algorithm 1, for the largest change of a value.
 */
import { integer } from '../config/value-types.js';
import { isFooled, type ParameterValues, parameter, type Subject } from './attack.js';
import { epsilon, form, steps } from './common-parameters.js';
import { signStep, withinBox } from './pixels.js';

export const apgdParameters = {
  epsilon: epsilon(),
  steps: steps(100),
  restarts: parameter(integer(1, 1000), 1, 'random starts; the one with the largest loss counts'),
  form,
};

/** A loss to be made large, with its gradient. */
export type Ascent = (
  subject: Subject,
  pixels: Float32Array,
) => Promise<{ readonly scores: Float32Array; readonly gradient: Float32Array; readonly loss: number }>;

/** Share of steps that must gain for the step size to stay (rho), and weight of the new direction (alpha). */
const GAINING = 0.75;
const MOMENTUM = 0.75;

/** @returns the pixels with the largest loss; in the minimal form the first that fool the model */
export async function apgd(
  subject: Subject,
  values: ParameterValues<typeof apgdParameters>,
  ascent: Ascent,
): Promise<Float32Array> {
  let best: { pixels: Float32Array; loss: number; fooled: boolean } | undefined;
  for (let start = 0; start < values.restarts; start++) {
    const found = await climb(subject, values, ascent);
    if (best === undefined || Number(found.fooled) > Number(best.fooled) || found.loss > best.loss) best = found;
    if (found.fooled && values.form === 'minimal') break;
  }
  return best!.pixels;
}

async function climb(
  subject: Subject,
  { epsilon: size, steps: count, form: kind }: ParameterValues<typeof apgdParameters>,
  ascent: Ascent,
): Promise<{ pixels: Float32Array; loss: number; fooled: boolean }> {
  const { image, label, random } = subject;
  const checkpoints = checkpointsOf(count);
  let pixels: Float32Array = image.map(value => withinBox(value + (2 * random.uniform() - 1) * size, value, size));
  let before = pixels;
  let here = await ascent(subject, pixels);
  let best = { pixels, ...here };
  let fooling = isFooled(here.scores, label) ? best : undefined;
  let step = 2 * size;
  let gains = 0;
  let since = 0;
  let [stepThen, bestThen] = [step, best.loss];
  for (let k = 0; k < count && !(kind === 'minimal' && fooling !== undefined); k++) {
    const z = signStep(pixels, here.gradient, step, image, size);
    const weight = k === 0 ? 1 : MOMENTUM;
    const next = new Float32Array(z.length);
    for (let i = 0; i < z.length; i++) {
      const moved = pixels[i]! + weight * (z[i]! - pixels[i]!) + (1 - weight) * (pixels[i]! - before[i]!);
      next[i] = withinBox(moved, image[i]!, size);
    }
    [before, pixels] = [pixels, next];
    const loss = here.loss;
    here = await ascent(subject, pixels);
    if (here.loss > loss) gains++;
    if (here.loss > best.loss) best = { pixels, ...here };
    if (isFooled(here.scores, label) && (fooling === undefined || here.loss > fooling.loss))
      fooling = { pixels, ...here };
    since++;
    if (checkpoints.has(k + 1)) {
      const stuck = stepThen === step && bestThen === best.loss;
      const slow = gains < GAINING * since;
      [stepThen, bestThen] = [step, best.loss];
      if (slow || stuck) {
        step /= 2;
        pixels = best.pixels;
        before = pixels;
        here = best;
      }
      [gains, since] = [0, 0];
    }
  }
  const found = fooling ?? best;
  return { pixels: found.pixels, loss: found.loss, fooled: fooling !== undefined };
}

/** Steps after which the step size is looked at (section 3.3 of the paper). */
function checkpointsOf(steps: number): ReadonlySet<number> {
  const shares = [0, 0.22];
  while (shares.at(-1)! < 1) shares.push(shares.at(-1)! + Math.max(shares.at(-1)! - shares.at(-2)! - 0.03, 0.06));
  return new Set(shares.slice(1).map(share => Math.ceil(share * steps)));
}
