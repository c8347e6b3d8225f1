/** The fetch stage: from an image key to pixels ready for the defence. CPU and input/output only, no model. */
import { createHash } from 'node:crypto';
import { DeflectorError, ERROR_CATALOGUE } from '../errors.js';
import type { FailedImage, FetchedImage, JobItem, ObjectStore, RgbImage } from '../types.js';
import { type Clock, toVerdictError } from './common.js';
import type { StageObserver, TraceParent } from './observer.js';

/** What the stage needs from outside. */
export interface FetchPorts {
  readonly stores: readonly ObjectStore[];
  /** Validates, decodes and resizes; bytes are untrusted. @throws DeflectorError IMAGE_* */
  decode(bytes: Uint8Array): Promise<RgbImage>;
  readonly clock: Clock;
  readonly observer?: StageObserver | undefined;
  /** What the images are a part of. */
  readonly trace?: TraceParent | undefined;
}

export interface FetchLimits {
  /** Bytes of one object. */
  readonly maxBytes: number;
}

/**
 * Reads, checks and decodes one image. A bad image is data: it comes back as a `FailedImage`.
 *
 * @throws DeflectorError of another kind than `terminal` when the store, not the image, is at fault
 */
export async function fetchImage(
  item: JobItem,
  ports: FetchPorts,
  limits: FetchLimits,
): Promise<FetchedImage | FailedImage> {
  const left = ports.observer?.entered('fetch', 1);
  try {
    const image = await fetchUnobserved(item, ports, limits);
    ports.observer?.fetched(image, ports.trace);
    return image;
  } finally {
    left?.();
  }
}

async function fetchUnobserved(
  item: JobItem,
  ports: FetchPorts,
  limits: FetchLimits,
): Promise<FetchedImage | FailedImage> {
  const { index, key } = item;
  const started = ports.clock.now();
  if (item.error !== undefined) return { index, key, error: item.error, ms: { fetch: 0, decode: 0 } };
  let read = started;
  let sha256: string | undefined;
  try {
    const store = ports.stores[item.store];
    if (store === undefined) throw new DeflectorError('INTERNAL', `No store ${item.store} for ${key}`);
    const bytes = await store.read(key, limits.maxBytes);
    read = ports.clock.now();
    sha256 = createHash('sha256').update(bytes).digest('hex');
    const pixels = await ports.decode(bytes);
    return { index, key, sha256, pixels, ms: { fetch: read - started, decode: ports.clock.now() - read } };
  } catch (error) {
    if (!(error instanceof DeflectorError) || ERROR_CATALOGUE[error.code].kind !== 'terminal') throw error;
    const ms =
      sha256 === undefined
        ? { fetch: ports.clock.now() - started, decode: 0 }
        : { fetch: read - started, decode: ports.clock.now() - read };
    return { index, key, ...(sha256 === undefined ? {} : { sha256 }), error: toVerdictError(error), ms };
  }
}

/** Tells the two results of `fetchImage` apart. */
export function isFetched(image: FetchedImage | FailedImage): image is FetchedImage {
  return 'pixels' in image;
}
