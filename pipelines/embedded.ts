/**
 * The embedded pipeline: fetch, defend and publish in one process.
 *
 *     listing ──▶ fetch (gate) ──▶ defend (worker threads) ──▶ window ──▶ publish
 *
 * The window is a bounded queue of images on their way, in the order of input. Listing waits while it is full, so memory
 * does not grow with the job; publishing takes its head, so that verdicts come out in the order of input whatever order
 * they were made in.
 */
import { DeflectorError, ERROR_CATALOGUE } from '../src/errors.js';
import { BoundedQueue } from '../src/queue/bounded-queue.js';
import { Gate } from '../src/queue/gate.js';
import { toVerdictError } from '../src/stages/common.js';
import { type DefendOutcome, failedVerdict, type Wanted } from '../src/stages/defend.js';
import { type FetchLimits, type FetchPorts, fetchImage, isFetched } from '../src/stages/fetch.js';
import type { FailedImage, FetchedImage, JobItem } from '../src/types.js';

export interface EmbeddedPorts extends FetchPorts {
  /** Defends one image; a fault of the image becomes an error verdict. @throws what ends the job */
  defend(image: FetchedImage, wanted: Wanted): Promise<DefendOutcome>;
  /** Makes outcomes durable; called in the order of input, one call at a time. */
  publish(outcomes: readonly DefendOutcome[]): Promise<void>;
}

export interface EmbeddedLimits extends FetchLimits {
  /** Images that are read and decoded at a time. */
  readonly fetching: number;
  /** Images that the worker threads have in hand at a time. */
  readonly defending: number;
  /** Images on their way at a time, from listing to publishing. */
  readonly window: number;
  /** Outcomes in one call of `publish`. */
  readonly chunk: number;
  /** Tries to read an image while its store fails. */
  readonly tries: number;
  /** Milliseconds before the second try; doubled before each further one. */
  readonly backoff: number;
}

/** Limits that keep `threads` worker threads busy. */
export function embeddedLimits(threads: number, maxBytes: number, atOriginal: boolean): EmbeddedLimits {
  // Four images in hand a thread: the six runs that one needs and the undefended passes of the next share batches.
  const defending = 4 * threads;
  // Images at their own size can be hundreds of megabytes each: few may wait to be defended or published.
  const ahead = atOriginal ? threads : Math.max(64, defending);
  return {
    maxBytes,
    fetching: threads + 2,
    defending,
    window: defending + ahead,
    chunk: atOriginal ? threads : 64,
    tries: 4,
    backoff: 100,
  };
}

/** An image on its way, and whether it has arrived. */
interface Way {
  readonly outcome: Promise<DefendOutcome>;
  arrived: boolean;
}

/**
 * Runs a job to its end, or until `signal` asks it to stop: then what is on its way is finished and published.
 *
 * @param items the images, in the order of input
 * @returns whether the job came to its end: every item was listed and published
 * @throws what the listing, `defend` and `publish` throw; the images on their way are then dropped
 */
export async function runEmbedded(
  items: AsyncIterable<JobItem>,
  ports: EmbeddedPorts,
  limits: EmbeddedLimits,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<boolean> {
  const fetching = new Gate(limits.fetching);
  const defending = new Gate(limits.defending);
  const window = new BoundedQueue<Way>(limits.window);

  // Set by the first fault; what is on its way then goes no further than to its next stage.
  let fault: { readonly error: unknown } | undefined;
  const goOn = (): void => {
    if (fault !== undefined) throw fault.error;
  };
  const fail = (error: unknown): void => {
    fault ??= { error };
    window.fail(error);
  };

  const travel = async (item: JobItem): Promise<DefendOutcome> => {
    const image = await fetching.run(async () => {
      goOn();
      return fetchPatiently(item, ports, limits);
    });
    if (!isFetched(image)) return { verdict: failedVerdict(image), passes: 0 };
    return defending.run(async () => {
      goOn();
      return ports.defend(image, wanted);
    });
  };
  const list = async (): Promise<boolean> => {
    for await (const item of items) {
      if (signal.aborted) return false;
      const way: Way = { outcome: travel(item), arrived: false };
      const arrive = () => {
        way.arrived = true;
      };
      // A failure is met where its turn comes to be published.
      way.outcome.then(arrive, arrive);
      await window.push(way);
    }
    return true;
  };
  const listing = list();
  // Marks the rejection as seen: it is thrown below, once the publishing that may still go on has ended.
  listing.then(() => window.close(), fail);
  try {
    await publishInOrder(window, ports, limits.chunk);
  } catch (error) {
    fail(error);
    await listing.catch(() => undefined);
    throw error;
  }
  return listing;
}

/** Publishes what has arrived at the head of the window, together as far as it has. */
async function publishInOrder(window: BoundedQueue<Way>, ports: EmbeddedPorts, chunk: number): Promise<void> {
  let arrived: DefendOutcome[] = [];
  for await (const way of window) {
    if (arrived.length > 0 && (!way.arrived || arrived.length >= chunk)) {
      await ports.publish(arrived);
      arrived = [];
    }
    arrived.push(await way.outcome);
    if (window.size === 0) {
      await ports.publish(arrived);
      arrived = [];
    }
  }
  if (arrived.length > 0) await ports.publish(arrived);
}

/**
 * A store that fails is tried again; an image that still cannot be read gets an error verdict, and the job goes on.
 *
 * @throws DeflectorError where no other image could be read either: the store cannot be reached, or lets nobody in
 */
async function fetchPatiently(
  item: JobItem,
  ports: EmbeddedPorts,
  limits: EmbeddedLimits,
): Promise<FetchedImage | FailedImage> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetchImage(item, ports, limits);
    } catch (error) {
      const code = error instanceof DeflectorError ? error.code : 'INTERNAL';
      const passing = code === 'STORE_UNAVAILABLE' || code === 'STORE_UNREACHABLE';
      if (!passing || attempt >= limits.tries) {
        if (code === 'STORE_UNREACHABLE' || ERROR_CATALOGUE[code].kind === 'usage') throw error;
        return { index: item.index, key: item.key, error: toVerdictError(error), ms: { fetch: 0, decode: 0 } };
      }
      await new Promise(resolve => setTimeout(resolve, limits.backoff * 2 ** (attempt - 1)));
    }
  }
}
