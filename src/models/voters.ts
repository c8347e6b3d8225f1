/** Several models that vote together on one image. */
import { createHash } from 'node:crypto';
import { DeflectorError } from '../errors.js';
import type { Label, ModelIdentity } from '../types.js';

/**
 * Who several models are together: their names with `+` between them, and the SHA-256 of the list of their digests, one a
 * line. One model is itself.
 */
export function jointIdentity(models: readonly ModelIdentity[]): ModelIdentity {
  const [first] = models;
  if (models.length === 1 && first !== undefined) return first;
  const list = models.map(({ sha256 }) => `${sha256}\n`).join('');
  return Object.freeze({
    name: models.map(({ name }) => name).join('+'),
    sha256: createHash('sha256').update(list).digest('hex'),
  });
}

/** @throws DeflectorError MODEL_UNSUPPORTED where two models do not name the same classes in the same order */
export function checkSameLabels(
  first: { readonly model: ModelIdentity; readonly labels: readonly Label[] },
  other: { readonly model: ModelIdentity; readonly labels: readonly Label[] },
): void {
  const differing = first.labels.findIndex(({ name }, index) => other.labels[index]?.name !== name);
  if (first.labels.length === other.labels.length && differing < 0) return;
  const shown = (labels: readonly Label[]) => JSON.stringify(labels[differing]?.name ?? null);
  const how =
    first.labels.length === other.labels.length
      ? `class ${differing} is ${shown(first.labels)} to one and ${shown(other.labels)} to the other`
      : `they have ${first.labels.length} and ${other.labels.length} classes`;
  throw new DeflectorError(
    'MODEL_UNSUPPORTED',
    `The models ${first.model.name} and ${other.model.name} cannot vote together: ${how}`,
  );
}
