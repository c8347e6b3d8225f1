/** Batches of another size than a runtime or its memory takes: cut, filled up and put together again. */
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

/** What says that the memory of a device does not suffice: CUDA, cuDNN and cuBLAS, ONNX Runtime's arena, Vulkan, TensorFlow. */
const OUT_OF_MEMORY =
  /out[ _]of[ _](\w+[ _])?memory|failed to allocate memory|OOM when allocating|CUDA failure 2\b|_ALLOC_FAILED|MEMORY_ALLOCATION/i;

/** Cuts batches to what the memory of a device holds, which shows only when one does not fit; what it learnt it keeps. */
export class MemoryLimit {
  readonly #what: string;
  /** Most images in one call, once the device ran out of memory. */
  #limit = Number.POSITIVE_INFINITY;

  /** @param what ran out, for the warning */
  constructor(what: string) {
    this.#what = what;
  }

  /**
   * Runs `count` images in as many calls as the memory asks for.
   *
   * @param run runs `images` images from `start` on
   * @throws what `run` throws, but for memory that half of the images may do with
   */
  async split<T>(count: number, run: (start: number, images: number) => Promise<T>): Promise<T[]> {
    const parts: T[] = [];
    for (let start = 0; start < count; ) {
      const images = Math.min(this.#limit, count - start);
      try {
        parts.push(await run(start, images));
        start += images;
      } catch (error) {
        if (images === 1 || !OUT_OF_MEMORY.test(error instanceof Error ? error.message : String(error))) throw error;
        this.#limit = Math.ceil(images / 2);
        process.emitWarning(
          `${this.#what} ran out of memory on ${images} images: from now on ${this.#limit} at a time`,
          { type: 'DeflectorWarning', code: 'BATCH_LOWERED' },
        );
      }
    }
    return parts;
  }
}

/** Arrays one behind another. */
export function concatenated(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
