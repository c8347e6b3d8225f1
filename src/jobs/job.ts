/**
 * A job of the distributed pipeline: a set of images under one set of settings, cut into chunks.
 *
 *     listing ──all chunks named──▶ running ──every chunk has its verdicts──▶ complete
 *        │                             ├──no chunk left but given-up ones──▶ stuck ──retry──▶ running
 *        └─────────────────────────────┴──cancel──▶ cancelled
 */
import { z } from 'zod';
import { DeflectorError, type ErrorCode, invalid } from '../errors.js';
import { LANES, MAX_CHUNK } from '../queue/queue.js';
import type { RunSummary } from '../report/run-summary.js';
import { storeAddressShape } from '../storage/store-address.js';
import type { FailedImage, JobItem, ModelIdentity, Verdict } from '../types.js';

/** What a job is called: also part of keys in Redis and of ids in queues. */
const JOB_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** @throws DeflectorError SETTINGS_INVALID */
export function checkJobName(name: string): string {
  if (!JOB_NAME.test(name)) {
    throw invalid(
      '--job',
      'at most 64 letters, digits, dots, hyphens and underscores, beginning with a letter or digit',
      name,
    );
  }
  return name;
}

const modelShape = z.strictObject({ name: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

/** Whether fetch and defend are one stage of the job, or two processes with packs between them. */
const FETCH_MODES = ['fused', 'separate'] as const;

/** What a job is: frozen when it is created. */
export const jobShape = z.strictObject({
  name: z.string().regex(JOB_NAME),
  /** Tells two jobs of one name apart, one after the other. */
  id: z.string(),
  /** ISO 8601, UTC. */
  createdAt: z.string(),
  lane: z.enum(LANES),
  /** Images in each chunk but the last. */
  chunk: z.int().min(1).max(MAX_CHUNK),
  fetch: z.enum(FETCH_MODES),
  /** As the user typed them. */
  inputs: z.array(z.string()),
  /** What `JobItem.store` counts. */
  stores: z.array(storeAddressShape),
  /** Where chunks and verdicts lie. */
  out: storeAddressShape,
  /** All settings of the job as `printSettings` gives them. */
  settings: z.record(z.string(), z.unknown()),
  model: modelShape,
  localizer: modelShape.optional(),
  /** Of a job that images join as they come: the stream that it is a part of. Its chunks may be shorter than `chunk`. */
  stream: z.string().optional(),
  /** ISO 8601, UTC: what is not defended by then gets the error verdict DEADLINE_PASSED. */
  deadline: z.string().optional(),
});

export interface Job extends Omit<z.infer<typeof jobShape>, 'model' | 'localizer' | 'stream' | 'deadline'> {
  readonly model: ModelIdentity;
  readonly localizer?: ModelIdentity | undefined;
  readonly stream?: string | undefined;
  readonly deadline?: string | undefined;
}

/** Whether the time for a job is over. */
export function isPastDeadline({ deadline }: Pick<Job, 'deadline'>): boolean {
  return deadline !== undefined && Date.now() >= Date.parse(deadline);
}

/** What an image is that was not defended in time. */
export function pastDeadline({ deadline }: Pick<Job, 'deadline'>, item: Pick<JobItem, 'index' | 'key'>): FailedImage {
  const message = `The deadline of the job, ${deadline}, passed before the image was defended`;
  const error = { code: 'DEADLINE_PASSED', message, retryable: false } as const;
  return { index: item.index, key: item.key, error, ms: { fetch: 0, decode: 0 } };
}

export type JobState = 'listing' | 'running' | 'stuck' | 'complete' | 'cancelled';

/** How far a job is. */
export interface JobProgress {
  readonly state: JobState;
  /** Chunks and images that the producer has named. */
  readonly chunks: number;
  readonly images: number;
  /** Chunks whose verdicts are counted. */
  readonly done: number;
  /** Chunks that were given up. */
  readonly dead: number;
  readonly verdicts: VerdictCounts;
  /** ISO 8601, UTC; absent while there is something to do. */
  readonly finishedAt?: string;
  /** When its results were exported last, and when its chunks were removed; ISO 8601, UTC. */
  readonly exportedAt?: string;
  readonly cleanedAt?: string;
}

/** @throws DeflectorError JOB_CLEANED where the chunks of the job are gone */
export function refuseCleaned({ name }: Pick<Job, 'name'>, { cleanedAt }: Pick<JobProgress, 'cleanedAt'>): void {
  if (cleanedAt === undefined) return;
  throw new DeflectorError('JOB_CLEANED', `The chunks of the job ${name} were removed at ${cleanedAt}`);
}

/** Verdicts by what they say. */
export interface VerdictCounts {
  readonly total: number;
  readonly ok: number;
  /** Part of `ok`. */
  readonly suspicious: number;
  readonly errors: Readonly<Partial<Record<ErrorCode, number>>>;
}

/** Something that was given up, and why: a whole chunk, or images of a chunk that got their verdicts otherwise. */
export interface DeadLetter {
  readonly chunk: number;
  readonly code: ErrorCode;
  readonly message: string;
  /** Failures of the chunk before it was given up, and workers lost with it in hand. */
  readonly failures: number;
  readonly losses: number;
  /** The images that are at fault; absent where the whole chunk has no verdicts. */
  readonly keys?: readonly string[];
  /** ISO 8601, UTC. */
  readonly at: string;
}

/** What defends a job, as its first worker says. */
export type JobDefender = Pick<RunSummary, 'runtime' | 'device' | 'threads' | 'versions'>;

export function countVerdicts(verdicts: readonly Verdict[]): VerdictCounts {
  const errors: Partial<Record<ErrorCode, number>> = {};
  let ok = 0;
  let suspicious = 0;
  for (const verdict of verdicts) {
    if (verdict.status === 'error') errors[verdict.error.code] = (errors[verdict.error.code] ?? 0) + 1;
    else {
      ok++;
      if (verdict.suspicious) suspicious++;
    }
  }
  return { total: verdicts.length, ok, suspicious, errors };
}
