/**
 * One chunk through a stage of one process. A fault of an image becomes its error verdict; a fault of the surroundings
 * ends the chunk, which is then tried again as a whole.
 */
import { DeflectorError } from '../src/errors.js';
import { Gate } from '../src/queue/gate.js';
import { failedVerdict } from '../src/stages/defend.js';
import { isFetched } from '../src/stages/fetch.js';
import type { FailedImage, FetchedImage, JobItem, Verdict } from '../src/types.js';

/** How many images of all chunks of a process may be where at a time. */
export class ChunkGates {
  /** From reading until they leave the process: these are in memory. */
  readonly held: Gate;
  readonly fetching: Gate;

  constructor(limits: { readonly held: number; readonly fetching: number }) {
    this.held = new Gate(limits.held);
    this.fetching = new Gate(limits.fetching);
  }
}

/** Gives one image of the chunk; a fault of the image is data. Called in the order of the items. @throws what ends the chunk */
export type Obtain = (item: JobItem) => Promise<FetchedImage | FailedImage>;

/** Obtains images by fetching them, as many at a time as the gate allows. */
export function fetching(gates: ChunkGates, fetch: Obtain): Obtain {
  return item => gates.fetching.run(() => fetch(item));
}

/** Obtains images from a pack, which holds them in the order of the chunk. */
export function unpacking(images: AsyncGenerator<FetchedImage | FailedImage>): Obtain {
  return async () => {
    // A generator serves calls in their order.
    const { value, done } = await images.next();
    if (done) throw new DeflectorError('PACK_INVALID', 'The pack could not be read to its end');
    return value;
  };
}

/**
 * Defends the images of a chunk.
 *
 * @param defend a fault of the image becomes an error verdict
 * @returns the verdicts in the order of the items
 * @throws what `obtain` and `defend` throw; the reason of `signal`. Nothing of the chunk is then on its way any more.
 */
export async function defendChunk(
  items: readonly JobItem[],
  obtain: Obtain,
  defend: (image: FetchedImage) => Promise<Verdict>,
  gates: ChunkGates,
  signal: AbortSignal,
): Promise<Verdict[]> {
  let fault: { readonly error: unknown } | undefined;
  const goOn = (): void => {
    signal.throwIfAborted();
    if (fault !== undefined) throw fault.error;
  };
  const travel = (item: JobItem): Promise<Verdict> =>
    gates.held.run(async () => {
      goOn();
      const image = await obtain(item);
      goOn();
      return isFetched(image) ? defend(image) : failedVerdict(image);
    });
  const ways = items.map(item =>
    travel(item).catch(error => {
      fault ??= { error };
      throw error;
    }),
  );
  const ends = await Promise.allSettled(ways);
  goOn();
  return ends.map(end => (end as PromiseFulfilledResult<Verdict>).value);
}

/** An image on its way to the reader of the chunk, who lets go of it when it has gone on. */
interface Way {
  readonly arrived: Promise<FetchedImage | FailedImage>;
  readonly ended: Promise<unknown>;
  letGo(): void;
}

/**
 * Fetches the images of a chunk ahead of their reader, as far as the gates allow.
 *
 * @returns the images in the order of the items
 * @throws what `obtain` throws; the reason of `signal`. Nothing of the chunk is then on its way any more.
 */
export async function* fetchChunk(
  items: readonly JobItem[],
  obtain: Obtain,
  gates: ChunkGates,
  signal: AbortSignal,
): AsyncGenerator<FetchedImage | FailedImage, void, undefined> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const set = (item: JobItem): Way => {
    let letGo = (): void => undefined;
    const gone = new Promise<void>(resolve => {
      letGo = resolve;
    });
    let ended: Promise<unknown> = Promise.resolve();
    const arrived = new Promise<FetchedImage | FailedImage>((resolve, reject) => {
      ended = gates.held
        .run(async () => {
          either.throwIfAborted();
          resolve(await obtain(item));
          await gone;
        })
        .catch(reject);
    });
    // A fault is met where its turn comes.
    arrived.catch(() => undefined);
    return { arrived, ended, letGo };
  };
  const ways = items.map(set);
  try {
    for (const { arrived, letGo } of ways) {
      const image = await arrived;
      signal.throwIfAborted();
      yield image;
      letGo();
    }
  } finally {
    over.abort();
    for (const { letGo } of ways) letGo();
    await Promise.all(ways.map(({ ended }) => ended));
  }
}
