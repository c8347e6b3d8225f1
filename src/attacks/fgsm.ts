/**
 * Fast gradient sign method: one step of size epsilon by the sign of the gradient of the cross-entropy.
 * Goodfellow, Shlens, Szegedy, 'Explaining and Harnessing Adversarial Examples', ICLR 2015, section 4.
 */
import type { Attack } from './attack.js';
import { epsilon } from './common-parameters.js';
import { signStep } from './pixels.js';

const parameters = { epsilon: epsilon() };

export const fgsm: Attack<typeof parameters> = {
  name: 'fgsm',
  title: 'Fast gradient sign method',
  source: 'Goodfellow et al., ICLR 2015',
  access: 'gradients',
  parameters,
  async run({ image, label, gradient }, { epsilon: size }) {
    const { gradient: direction } = await gradient(image, { kind: 'cross-entropy', label });
    return signStep(image, direction, size, image, size);
  },
};
