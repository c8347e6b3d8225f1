/** Auto-PGD on the cross-entropy: see apgd.ts. */
import { apgd, apgdParameters } from './apgd.js';
import { type Attack, crossEntropy } from './attack.js';

export const apgdCe: Attack<typeof apgdParameters> = {
  name: 'apgd-ce',
  title: 'Auto-PGD on the cross-entropy',
  source: 'Croce and Hein, ICML 2020',
  access: 'gradients',
  parameters: apgdParameters,
  run: (subject, values) =>
    apgd(subject, values, async ({ label, gradient }, pixels) => {
      const made = await gradient(pixels, { kind: 'cross-entropy', label });
      return { ...made, loss: crossEntropy(made.scores, label) };
    }),
};
