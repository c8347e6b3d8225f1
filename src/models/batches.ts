/** Batches of another size than a runtime takes: cut, filled up and put together again. */
import type { ClassifierOutput } from '../types.js';

/**
 * Runs `count` images in batches of a fixed size; the last one is filled up with zeros.
 *
 * @param input float32, `count` images
 * @param fixed images in a batch
 * @param run runs one batch of `fixed` images
 */
export async function runFixedBatches(
  input: Float32Array,
  count: number,
  fixed: number,
  run: (batch: Float32Array) => Promise<ClassifierOutput>,
): Promise<ClassifierOutput> {
  if (count === fixed) return run(input);
  const image = input.length / count;
  const parts: ClassifierOutput[] = [];
  for (let start = 0; start < count; start += fixed) {
    const images = Math.min(fixed, count - start);
    const given = input.subarray(start * image, (start + images) * image);
    if (images === fixed) {
      parts.push(await run(given));
      continue;
    }
    const batch = new Float32Array(fixed * image);
    batch.set(given);
    parts.push(firstImages(await run(batch), images, fixed));
  }
  return joined(parts);
}

function firstImages(output: ClassifierOutput, images: number, of: number): ClassifierOutput {
  const first = (data: Float32Array): Float32Array => data.subarray(0, (data.length / of) * images);
  const { scores, features } = output;
  return {
    scores: first(scores),
    features: features === undefined ? undefined : { ...features, data: first(features.data) },
  };
}

/** The outputs of parts of a batch as that of the whole. */
export function joined(parts: readonly ClassifierOutput[]): ClassifierOutput {
  const [head] = parts;
  return {
    scores: concatenated(parts.map(part => part.scores)),
    features:
      head?.features === undefined
        ? undefined
        : { ...head.features, data: concatenated(parts.flatMap(part => part.features?.data ?? [])) },
  };
}

function concatenated(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
