/** What became of images: jobs, their progress as it goes on, verdicts. */
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { DeflectorError } from '../errors.js';
import type { Job, JobProgress } from '../jobs/job.js';
import { parseVerdictId } from '../sinks/verdict-id.js';
import { formatVerdict } from '../sinks/verdict-json.js';
import type { Verdict } from '../types.js';
import { jobAnswer, jobParams, jobsAnswer, verdictParams, verdictState } from './schemas.js';

/** Jobs in a list, the newest first. */
const JOBS_LISTED = 100;

/** Streams of events at a time. */
const MAX_WATCHED = 100;

const LOOK_EVERY_MS = 1000;
/** Silence that proxies and clients take for a lost connection is longer. */
const LOOKS_A_COMMENT = 15;

/** Port: what is known of jobs. */
export interface JobPorts {
  get(name: string): Promise<Job>;
  list(): AsyncIterable<Job>;
  progress(job: Job): Promise<JobProgress>;
  isDone(job: Job, chunk: number): Promise<boolean>;
  verdictsOf(job: Job, chunk: number): Promise<readonly Verdict[]>;
}

export function jobRoutes(app: FastifyInstance, ports: JobPorts): void {
  const closing = new AbortController();
  app.addHook('preClose', async () => closing.abort());
  let watched = 0;

  app.get(
    '/v1/jobs',
    {
      schema: {
        tags: ['jobs'],
        operationId: 'listJobs',
        summary: `The newest ${JOBS_LISTED} jobs`,
        response: { 200: jobsAnswer },
      },
    },
    async () => {
      const jobs: z.infer<typeof jobAnswer>[] = [];
      for await (const job of ports.list()) {
        jobs.push(describe(job, await ports.progress(job)));
        if (jobs.length === JOBS_LISTED) break;
      }
      return { jobs };
    },
  );

  app.get(
    '/v1/jobs/:name',
    {
      schema: {
        tags: ['jobs'],
        operationId: 'showJob',
        summary: 'How far a job is',
        params: jobParams,
        response: { 200: jobAnswer },
      },
    },
    async request => {
      const job = await ports.get((request.params as z.infer<typeof jobParams>).name);
      return describe(job, await ports.progress(job));
    },
  );

  app.get(
    '/v1/jobs/:name/events',
    {
      schema: {
        tags: ['jobs'],
        operationId: 'watchJob',
        summary: 'The progress of a job as it goes on (server-sent events)',
        description: 'Events `progress` with the job as /v1/jobs/{name} shows it, and `end` when it is over.',
        params: jobParams,
        response: {
          200: { description: 'Server-sent events', content: { 'text/event-stream': { schema: z.string() } } },
        },
      },
    },
    async (request, reply) => {
      const job = await ports.get((request.params as z.infer<typeof jobParams>).name);
      if (watched >= MAX_WATCHED) throw new DeflectorError('OVERLOADED', `${watched} jobs are being watched already`);
      watched++;
      const events = Readable.from(progressEvents(job, ports, closing.signal), { objectMode: false });
      events.once('close', () => watched--);
      // Whoever watches is not kept on for another request: it ends with the stream.
      const headers = { connection: 'close', 'x-accel-buffering': 'no' };
      return reply.type('text/event-stream').headers(headers).send(events);
    },
  );

  app.get(
    '/v1/verdicts/:id',
    {
      schema: {
        tags: ['jobs'],
        operationId: 'showVerdict',
        summary: 'The verdict on an image that was put into the queue',
        params: verdictParams,
        response: { 200: verdictState },
      },
    },
    async (request, reply) => {
      const { id } = request.params as z.infer<typeof verdictParams>;
      const unknown = new DeflectorError('VERDICT_NOT_FOUND', 'There is no such verdict, and none is to come');
      const origin = parseVerdictId(id);
      const job = origin && (await ports.get(origin.job).catch(() => undefined));
      if (origin === undefined || job === undefined || job.id !== origin.id) throw unknown;
      if (origin.chunk >= (await ports.progress(job)).chunks) throw unknown;
      if (!(await ports.isDone(job, origin.chunk))) return { id, state: 'pending' };
      const verdict = (await ports.verdictsOf(job, origin.chunk))[origin.place];
      if (verdict === undefined) throw unknown;
      // As in results.jsonl, to the byte.
      const text = `{"id":${JSON.stringify(id)},"state":"done","verdict":${formatVerdict(verdict)}}`;
      return reply.type('application/json').send(text);
    },
  );
}

/** The settings of a job are not for everybody: its seed foretells every draw. */
function describe(job: Job, progress: JobProgress): z.infer<typeof jobAnswer> {
  const { name, lane, createdAt, stream } = job;
  const { state, chunks, images, done, dead, verdicts, finishedAt } = progress;
  return {
    name,
    state,
    lane,
    ...(stream === undefined ? {} : { stream }),
    createdAt,
    ...(finishedAt === undefined ? {} : { finishedAt }),
    chunks,
    images,
    done,
    dead,
    verdicts: { ...verdicts, errors: { ...verdicts.errors } as Record<string, number> },
  };
}

async function* progressEvents(
  job: Job,
  ports: JobPorts,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  let told = '';
  for (let looks = 0; !signal.aborted; looks++) {
    const progress = await ports.progress(job);
    const text = JSON.stringify(describe(job, progress));
    if (text !== told) yield `event: progress\ndata: ${text}\n\n`;
    else if (looks % LOOKS_A_COMMENT === 0) yield ': nothing new\n\n';
    told = text;
    if (progress.state !== 'listing' && progress.state !== 'running') {
      yield `event: end\ndata: ${text}\n\n`;
      return;
    }
    await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}
