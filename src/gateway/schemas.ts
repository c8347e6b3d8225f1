/** What requests and answers of the gateway look like: they are checked by it, and /openapi.json is made from it. */
import { z } from 'zod';
import { ERROR_CATALOGUE, type ErrorCode } from '../errors.js';
import { LANES } from '../queue/queue.js';
import { cloudEventShape, notificationShape, testEventShape } from './events.js';

const count = z.int().min(0);
const time = z.string().describe('ISO 8601, UTC');
const errorCode = z.enum(Object.keys(ERROR_CATALOGUE) as [ErrorCode, ...ErrorCode[]]);

/** RFC 9457. */
export const problem = z
  .object({
    type: z.string().describe('urn:deflector:error: and the code'),
    title: z.string(),
    status: z.int().min(400).max(599),
    detail: z.string(),
    code: errorCode,
    remedy: z.string(),
  })
  .describe('Problem details (RFC 9457)');

export const eventsBody = z
  .union([notificationShape, testEventShape, cloudEventShape, z.array(cloudEventShape).max(1000), z.unknown()])
  .describe('An S3 event notification, a CloudEvent, a batch of them, or the data of one in binary mode');

export const receipt = z.object({
  accepted: count.describe('images in the queue now'),
  duplicates: count.describe('images that an earlier event brought there'),
  skipped: count.describe('events of other kinds, and objects that by their names are no images'),
  refused: count.describe('objects outside of what the gateway allows'),
});

export const imagesBody = z.strictObject({
  keys: z
    .array(z.string().min(1).max(4096))
    .min(1)
    .max(1000)
    .describe('s3://bucket/key, each below an address that the gateway allows; nothing in a key is percent-encoded'),
});

const verdictId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}:[0-9a-f]{1,16}:\d{1,9}:\d{1,2}$/);

export const imagesAnswer = z.object({
  accepted: count,
  images: z.array(
    z.object({
      key: z.string(),
      job: z.string(),
      id: verdictId.describe('of the verdict: /v1/verdicts/{id}; sinks deliver it under the same id'),
    }),
  ),
});

const label = { index: count, id: z.string(), name: z.string() };
const share = z.number().min(0).max(1);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const ms = z.record(z.string(), z.number());
const head = { schema: z.literal('deflector/verdict@1'), key: z.string() };

const okVerdict = z.object({
  ...head,
  sha256,
  status: z.literal('ok'),
  label: z.object(label),
  votes: z.array(z.object({ index: count, count })),
  runs: count,
  runsExecuted: count,
  agreement: share,
  probability: share,
  undefended: z.object({ ...label, probability: share }),
  suspicious: z.boolean(),
  seed: z.string(),
  model: z.object({ name: z.string(), sha256 }),
  defence: z.record(z.string(), z.unknown()),
  ms,
});
const errorVerdict = z.object({
  ...head,
  sha256: sha256.optional(),
  status: z.literal('error'),
  error: z.object({ code: errorCode, message: z.string(), retryable: z.boolean() }),
  ms,
});

export const verdictAnswer = okVerdict.describe('A verdict, as a line of results.jsonl');

export const verdictParams = z.object({ id: verdictId });
export const verdictState = z.object({
  id: verdictId,
  state: z.enum(['pending', 'done']),
  verdict: z.union([okVerdict, errorVerdict]).optional(),
});

export const imageQuery = z.strictObject({
  name: z.string().min(1).max(200).optional().describe('stands for the image in its verdict'),
});

const picture = z.string().describe('PNG as a data: URL');
export const explanationAnswer = z.object({
  verdict: okVerdict,
  labels: z.record(z.string(), z.string()).describe('names of the labels that were voted for, by index'),
  width: count,
  height: count,
  deflections: count.describe('pixels that the first run deflected'),
  gain: count.describe('what the difference was multiplied by; 0 where nothing changed'),
  pictures: z.object({
    input: picture,
    map: picture,
    deflected: picture,
    defended: picture,
    difference: picture,
  }),
});

export const jobParams = z.object({ name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/) });

export const jobAnswer = z.object({
  name: z.string(),
  state: z.enum(['listing', 'running', 'stuck', 'complete', 'cancelled']),
  lane: z.enum(LANES),
  stream: z.string().optional().describe('of a job that images join as they come'),
  createdAt: time,
  finishedAt: time.optional(),
  chunks: count,
  images: count,
  done: count.describe('chunks whose verdicts are counted'),
  dead: count.describe('chunks that were given up'),
  verdicts: z.object({
    total: count,
    ok: count,
    suspicious: count,
    errors: z.record(z.string(), count),
  }),
});

export const jobsAnswer = z.object({ jobs: z.array(jobAnswer) });

export const reconcileBody = z.strictObject({
  below: z.string().max(4096).optional().describe('s3://bucket/prefix; everything that is allowed, where left out'),
});

export const reconcileAnswer = z.object({
  state: z.enum(['never', 'running', 'done', 'failed']),
  listed: count,
  accepted: count.describe('images that no event had told of, in the queue now'),
  startedAt: time.optional(),
  finishedAt: time.optional(),
});
