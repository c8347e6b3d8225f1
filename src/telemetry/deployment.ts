/**
 * What all processes of a deployment see alike, read from Redis.
 *
 * Every process that serves metrics reads it when it is asked for them. The alternative, one process at a time that holds a
 * lease, would leave gaps when the lease moves and a value of each former holder for as long as Prometheus keeps it; two
 * scripts a scrape cost Redis some tens of microseconds. Readers take the maximum over instances.
 */
import { STAGE_QUEUES } from '../jobs/chunk-task.js';
import { type JobGauges, JobRecords } from '../jobs/job-records.js';
import { type QueueState, readQueues, type ServerState } from '../queue/queue-state.js';
import type { RedisConnection } from '../queue/redis.js';
import { LABELLED_JOBS } from './catalogue.js';

export interface DeploymentState {
  readonly queues: readonly QueueState[];
  readonly redis: ServerState;
  readonly jobs: readonly JobGauges[];
}

/** @throws DeflectorError QUEUE_UNAVAILABLE */
export async function readDeployment(redis: RedisConnection): Promise<DeploymentState> {
  const [{ queues, server }, jobs] = await Promise.all([
    readQueues(redis, STAGE_QUEUES),
    new JobRecords(redis).gauges(LABELLED_JOBS),
  ]);
  return { queues, redis: server, jobs };
}
