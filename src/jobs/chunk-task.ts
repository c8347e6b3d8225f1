/** What the queues of the stages hold: chunks by their job and number, never their content. */
import type { Task } from '../queue/queue.js';
import type { Job } from './job.js';

/** The queues, by the stage that takes from them. `defend` fetches too. */
export type StageQueue = 'defend' | 'publish';

export interface ChunkPayload {
  readonly job: string;
  /** Of the job: one that was made anew under an old name is another job. */
  readonly id: string;
  readonly chunk: number;
  /** The images may bring their worker down: each is to be defended in a process of its own. */
  readonly suspect?: boolean;
}

/** The task of a chunk. Its id follows from the job and the number alone, so that no queue holds a chunk twice. */
export function chunkTask(job: Pick<Job, 'name' | 'id' | 'lane'>, chunk: number, suspect = false): Task<ChunkPayload> {
  const payload = { job: job.name, id: job.id, chunk, ...(suspect ? { suspect } : {}) };
  return { id: `${job.name}.${job.id}.${chunk}`, lane: job.lane, payload };
}
