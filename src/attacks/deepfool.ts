/**
 * DeepFool: steps to the nearest of the boundaries that the linearised model has with other classes.
 * Moosavi-Dezfooli, Fawzi, Frossard, 'DeepFool: A Simple and Accurate Method to Fool Deep Neural Networks', CVPR 2016,
 * algorithm 2, for the Euclidean norm. Only the classes with the highest scores are looked at, as its authors do.
 */
import { integer, number } from '../config/value-types.js';
import { type Attack, isFooled, linearLoss, parameter } from './attack.js';
import { form, judge, steps } from './common-parameters.js';
import { judged, moved, norm } from './pixels.js';

const parameters = {
  steps: steps(50),
  candidates: parameter(integer(2, 1000), 10, 'classes with the highest scores that are looked at'),
  overshoot: parameter(number(0, 10), 0.02, 'share that is added to the perturbation, to cross the boundary'),
  judge,
  form,
  reach: parameter(
    number(0, 1),
    0.02,
    'with --form full: L2 over that of the image that the perturbation is stretched to',
  ),
};

export const deepFool: Attack<typeof parameters> = {
  name: 'deepfool',
  title: 'DeepFool',
  source: 'Moosavi-Dezfooli et al., CVPR 2016',
  access: 'gradients',
  parameters,
  async run({ image, label, classes, gradient, scores: query }, values) {
    const order = ranking(await query(image)).filter(index => index !== label);
    const rivals = order.slice(0, values.candidates - 1);
    const total = new Float32Array(image.length);
    const pixelsNow = () => moved(image, total, 1 + values.overshoot);
    let pixels = image;
    for (let step = 0; step < values.steps; step++) {
      const made = await Promise.all(
        rivals.map(rival =>
          gradient(
            pixels,
            linearLoss(classes, [
              [rival, 1],
              [label, -1],
            ]),
          ),
        ),
      );
      const { scores } = made[0]!;
      if (isFooled(scores, label)) {
        if (values.judge === 'exact' || isFooled(await query(judged(pixels, values.judge)), label)) break;
      }
      let nearest: { distance: number; length: number; direction: Float32Array } | undefined;
      for (const [i, { gradient: direction }] of made.entries()) {
        const length = norm(direction);
        const distance = Math.abs(scores[rivals[i]!]! - scores[label]!) / Math.max(length, TINY);
        if (nearest === undefined || distance < nearest.distance) nearest = { distance, length, direction };
      }
      const factor = (nearest!.distance + PAST) / Math.max(nearest!.length, TINY);
      for (let i = 0; i < total.length; i++) total[i]! += factor * nearest!.direction[i]!;
      pixels = pixelsNow();
    }
    if (values.form === 'minimal') return pixels;
    const wanted = values.reach * norm(image);
    const length = norm(total);
    return length === 0 ? pixels : moved(image, total, Math.max(wanted / length, 1 + values.overshoot));
  },
};

/** A gradient may vanish; a distance then is very large, not infinite. */
const TINY = 1e-12;

/** Added to each step, as in the authors' code, so that a step onto the boundary is one across it. */
const PAST = 1e-4;

/** Classes by score, highest first. */
function ranking(scores: Float32Array): number[] {
  return Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]!);
}
