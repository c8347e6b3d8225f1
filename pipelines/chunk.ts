/**
 * One chunk through fetch and defend in one process. A fault of an image becomes its error verdict; a fault of the
 * surroundings ends the chunk, which is then tried again as a whole.
 */
import { Gate } from '../src/queue/gate.js';
import { failedVerdict } from '../src/stages/defend.js';
import { type FetchLimits, type FetchPorts, fetchImage, isFetched } from '../src/stages/fetch.js';
import type { FailedImage, FetchedImage, JobItem, Verdict } from '../src/types.js';

/** How many images of all chunks of a process may be where at a time. */
export class ChunkGates {
  /** From reading to the verdict: these are in memory. */
  readonly held: Gate;
  readonly fetching: Gate;

  constructor(limits: { readonly held: number; readonly fetching: number }) {
    this.held = new Gate(limits.held);
    this.fetching = new Gate(limits.fetching);
  }
}

export interface ChunkPorts extends FetchPorts {
  /** Defends one image; a fault of the image becomes an error verdict. @throws what ends the chunk */
  defend(image: FetchedImage): Promise<Verdict>;
}

/**
 * @returns the verdicts in the order of the items
 * @throws what the store and `defend` throw; the reason of `signal`. Nothing of the chunk is then on its way any more.
 */
export async function defendChunk(
  items: readonly JobItem[],
  ports: ChunkPorts,
  limits: FetchLimits,
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
      const image: FetchedImage | FailedImage = await gates.fetching.run(() => fetchImage(item, ports, limits));
      goOn();
      return isFetched(image) ? ports.defend(image) : failedVerdict(image);
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
