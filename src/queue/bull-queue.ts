/**
 * BullMQ on Redis as a queue of tasks. Retryable and terminal errors are told apart here and nowhere else.
 *
 * BullMQ would keep what failed for good in a set of its own; here it is told to the consumer, who records why, and
 * leaves the queue: what a queue holds is what is still to be done.
 */
import type { Job } from 'bullmq';
import { DeflectorError } from '../errors.js';
import type { Consumer, ConsumerOptions, Delivery, QueueCounts, Task, TaskQueue } from './queue.js';
import { queueFault, type RedisConnection } from './redis.js';

/** BullMQ takes a task without a priority before any that has one, and among equals the oldest. */
const PRIORITY = { online: 0, bulk: 1 } as const;

/** BullMQ gives up by its own counts; this consumer keeps them. */
const NEVER_GIVE_UP = 1_000_000;

/** Events that Redis keeps of a queue; nothing here reads them. */
const EVENTS_KEPT = 100;

/** @throws DeflectorError QUEUE_UNAVAILABLE */
export async function openBullQueue<P>(name: string, redis: RedisConnection): Promise<TaskQueue<P>> {
  const bullmq = await import('bullmq');
  const queue = new bullmq.Queue(name, {
    connection: redis.client,
    prefix: redis.prefix,
    streams: { events: { maxLen: EVENTS_KEPT } },
  });
  queue.on('error', () => undefined);
  const reported = async <T>(command: () => Promise<T>): Promise<T> => {
    try {
      return await command();
    } catch (error) {
      throw queueFault(error);
    }
  };
  await reported(() => queue.waitUntilReady());

  return {
    add: tasks => reported(async () => void (await queue.addBulk(tasks.map(toJob)))),

    counts: () =>
      reported(async (): Promise<QueueCounts> => {
        const counts = await queue.getJobCounts('wait', 'prioritized', 'active', 'delayed');
        return {
          online: counts.wait ?? 0,
          bulk: counts.prioritized ?? 0,
          inHand: counts.active ?? 0,
          delayed: counts.delayed ?? 0,
        };
      }),

    missing: ids =>
      reported(async () => {
        const states = await Promise.all(ids.map(id => redis.client.exists(queue.toKey(id))));
        return ids.filter((_, place) => states[place] === 0);
      }),

    discard: ids => reported(async () => void (await Promise.all(ids.map(id => queue.remove(id))))),

    async consume(options) {
      const inHand = new Set<AbortController>();
      const worker = new bullmq.Worker<P>(
        name,
        async (job, token) => {
          const controller = new AbortController();
          inHand.add(controller);
          try {
            await take(job, token, controller.signal, options);
          } finally {
            inHand.delete(controller);
          }
        },
        {
          connection: redis.client,
          prefix: redis.prefix,
          concurrency: options.concurrency,
          lockDuration: options.lock,
          stalledInterval: options.lock,
          maxStalledCount: NEVER_GIVE_UP,
          removeOnComplete: { count: 0 },
          removeOnFail: { count: 0 },
          settings: { backoffStrategy: failures => options.backoff(failures) },
        },
      );
      worker.on('error', error => options.trouble(error));
      await reported(() => worker.waitUntilReady());
      return consumerOf(worker, inHand);
    },

    close: () => queue.close(),
  };

  async function take(
    job: Job<P>,
    token: string | undefined,
    signal: AbortSignal,
    options: ConsumerOptions<P>,
  ): Promise<void> {
    const delivery = deliveryOf(job, signal);
    try {
      if (delivery.losses > options.losses) {
        const message = `${delivery.losses} workers were lost with this chunk in hand`;
        throw new TooManyLosses(message);
      }
      await options.handle(delivery);
    } catch (error) {
      if (signal.aborted) {
        await job.moveToWait(token);
        throw new bullmq.WaitingError();
      }
      if (mayPass(error) && delivery.failures + 1 < options.attempts) {
        options.again?.(delivery, error);
        throw error;
      }
      // Where this fails too, the task comes again.
      await options.bury(delivery, error);
    }
  }
}

/** A task that takes workers down is not tried again. */
class TooManyLosses extends DeflectorError {
  constructor(message: string) {
    super('WORKER_LOST', message);
  }
}

/** Whether the same work may succeed later: not where the input is at fault. What is no DeflectorError may. */
function mayPass(error: unknown): boolean {
  if (error instanceof TooManyLosses) return false;
  return !(error instanceof DeflectorError) || error.retryable || error.code === 'QUEUE_UNAVAILABLE';
}

function toJob<P>({ id, lane, payload }: Task<P>) {
  return {
    name: lane,
    data: payload,
    opts: {
      jobId: id,
      priority: PRIORITY[lane],
      attempts: NEVER_GIVE_UP,
      backoff: { type: 'custom' },
      removeOnComplete: true,
      removeOnFail: true,
      stackTraceLimit: 1,
    },
  };
}

function deliveryOf<P>(job: Job<P>, signal: AbortSignal): Delivery<P> {
  return {
    id: job.id!,
    lane: job.name as Delivery<P>['lane'],
    payload: job.data,
    failures: job.attemptsMade,
    losses: job.stalledCounter,
    signal,
  };
}

function consumerOf(worker: { close(force?: boolean): Promise<void> }, inHand: ReadonlySet<AbortController>): Consumer {
  return {
    async close(patience) {
      const handBack = setTimeout(() => {
        for (const controller of inHand) controller.abort();
      }, patience);
      await worker.close();
      clearTimeout(handBack);
    },
  };
}
