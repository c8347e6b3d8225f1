/**
 * Iterative gradient sign method, also called basic iterative method: small steps by the sign of the gradient, each
 * kept within epsilon of the image. Kurakin, Goodfellow, Bengio, 'Adversarial Examples in the Physical World', ICLR
 * 2017 workshop, section 2.2.
 */
import { fraction } from '../config/value-types.js';
import { type Attack, isFooled, parameter } from './attack.js';
import { epsilon, form, steps } from './common-parameters.js';
import { signStep } from './pixels.js';

const parameters = {
  epsilon: epsilon(),
  step: parameter(fraction(0, 1), 1 / 255, 'size of one step, on the [0,1] scale'),
  steps: steps(12),
  form,
};

export const igsm: Attack<typeof parameters> = {
  name: 'igsm',
  title: 'Iterative gradient sign method',
  source: 'Kurakin et al., ICLR 2017',
  access: 'gradients',
  parameters,
  async run({ image, label, gradient }, values) {
    let pixels = image;
    for (let step = 0; step < values.steps; step++) {
      const { scores, gradient: direction } = await gradient(pixels, { kind: 'cross-entropy', label });
      if (values.form === 'minimal' && isFooled(scores, label)) break;
      pixels = signStep(pixels, direction, values.step, image, values.epsilon);
    }
    return pixels;
  },
};
