/** The queues of the stages, opened together. */
import { openBullQueue } from '../queue/bull-queue.js';
import type { TaskQueue } from '../queue/queue.js';
import type { RedisConnection } from '../queue/redis.js';
import { type ChunkPayload, STAGE_QUEUES, type StageQueue } from './chunk-task.js';
import type { Job } from './job.js';

export type StageQueues = { readonly [S in StageQueue]: TaskQueue<ChunkPayload> };

/** @throws DeflectorError QUEUE_UNAVAILABLE */
export async function openStageQueues(redis: RedisConnection): Promise<StageQueues> {
  const [fetch, defend, publish] = await Promise.all(
    STAGE_QUEUES.map(stage => openBullQueue<ChunkPayload>(stage, redis)),
  );
  return { fetch: fetch!, defend: defend!, publish: publish! };
}

export async function closeStageQueues(queues: StageQueues): Promise<void> {
  await Promise.all(STAGE_QUEUES.map(stage => queues[stage].close()));
}

/** The queue that a job's chunks begin in: where fetch and defend are one, the defend stage's. */
export function firstQueue(
  { fetch }: Pick<Job, 'fetch'>,
  queues: Pick<StageQueues, 'fetch' | 'defend'>,
): TaskQueue<ChunkPayload> {
  return fetch === 'separate' ? queues.fetch : queues.defend;
}
