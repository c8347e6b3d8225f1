/** What the queues of the stages hold: chunks by their job and number, never their content. */
import type { Task } from '../queue/queue.js';
import type { TraceParent } from '../stages/observer.js';
import type { Job } from './job.js';

/** The stages in their order, each with a queue that its workers take from. */
export const STAGE_QUEUES = ['fetch', 'defend', 'publish'] as const;
export type StageQueue = (typeof STAGE_QUEUES)[number];

export interface ChunkPayload {
  readonly job: string;
  /** Of the job: one that was made anew under an old name is another job. */
  readonly id: string;
  readonly chunk: number;
  /** The images may bring their worker down: each is to be worked on in a process of its own. */
  readonly suspect?: boolean;
  /** When the chunk was put into its first queue, milliseconds since 1970. */
  readonly since?: number;
  /** The trace that the chunk is a part of. */
  readonly trace?: TraceParent;
  /** How often the defend stage found no use in its pack and gave it back to the fetch stage. */
  readonly returned?: number;
}

/** What goes with a chunk from queue to queue. */
export type ChunkBaggage = Omit<ChunkPayload, 'job' | 'id' | 'chunk'>;

/** The task of a chunk. Its id follows from the job and the number alone, so that no queue holds a chunk twice. */
export function chunkTask(
  job: Pick<Job, 'name' | 'id' | 'lane'>,
  chunk: number,
  baggage: ChunkBaggage = {},
): Task<ChunkPayload> {
  const payload = { job: job.name, id: job.id, chunk, since: Date.now(), ...baggage };
  return { id: `${job.name}.${job.id}.${chunk}`, lane: job.lane, payload };
}

/** What a chunk takes along to the next queue. @param trace the work from which it goes there */
export function baggageOf(
  { job: _job, id: _id, chunk: _chunk, ...baggage }: ChunkPayload,
  trace: TraceParent | undefined,
): ChunkBaggage {
  return trace === undefined ? baggage : { ...baggage, trace };
}
