/** A gateway without network and Redis: requests are injected, and what it would queue is kept here. */
import type { TestContext } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { DeflectorError } from '../../src/errors.js';
import { Authentication, type Credential } from '../../src/gateway/authentication.js';
import type { DirectDefence } from '../../src/gateway/direct-defence.js';
import { createGateway, type GatewayOptions, type GatewayPorts } from '../../src/gateway/gateway.js';
import { type ImageStream, Intake, type Seen } from '../../src/gateway/intake.js';
import type { SharedMemory } from '../../src/gateway/memory.js';
import { Reconciliation } from '../../src/gateway/reconciliation.js';
import type { Job, JobProgress } from '../../src/jobs/job.js';
import { Health } from '../../src/telemetry/health.js';
import { Metrics } from '../../src/telemetry/metrics.js';
import type { ObjectEntry } from '../../src/types.js';
import { testExplanation } from './explanations.js';
import { okVerdict } from './verdicts.js';

export const JOB: Job = {
  name: 'ingest-1',
  id: '00c0ffee',
  createdAt: '2026-01-01T00:00:00.000Z',
  lane: 'online',
  chunk: 64,
  fetch: 'fused',
  inputs: ['s3://photos/in'],
  stores: [],
  out: { url: 'file:///nowhere', prefix: '' },
  settings: { seed: 'a secret seed' },
  model: { name: 'tiny', sha256: 'ab'.repeat(32) },
  stream: 'ingest',
};

const PROGRESS: JobProgress = {
  state: 'listing',
  chunks: 2,
  images: 3,
  done: 1,
  dead: 0,
  verdicts: { total: 2, ok: 1, suspicious: 0, errors: { IMAGE_EMPTY: 1 } },
};

/** What the tests look at and turn. */
export interface Stage {
  /** Keys that were queued, in their order. */
  readonly queued: string[];
  full: boolean;
  /** What queueing throws. */
  fault: Error | undefined;
  /** States that the job goes through, one a look; the last one stays. */
  readonly states: JobProgress['state'][];
  /** Bytes and names of images that were to be defended. */
  readonly defended: { readonly bytes: Uint8Array; readonly name: string; readonly deadline: number }[];
  defend: DirectDefence['defend'];
  readonly listed: ObjectEntry[];
}

export interface TestGateway {
  readonly app: FastifyInstance;
  readonly stage: Stage;
  readonly reconciliation: Reconciliation;
}

/** Of a single gateway. */
export function memoryOfOne(): SharedMemory {
  const values = new Map<string, string>();
  return {
    claim: async (key, value) => {
      const there = values.get(key);
      if (there === undefined) values.set(key, value);
      return there;
    },
    put: async (key, value) => void values.set(key, value),
    forget: async key => void values.delete(key),
  };
}

function seenByOne(): Seen {
  const names = new Set<string>();
  return {
    horizon: 0,
    have: async list => list.map(name => names.has(JSON.stringify(name))),
    add: async list => {
      for (const name of list) names.add(JSON.stringify(name));
    },
  };
}

export async function testGateway(
  t: Pick<TestContext, 'after'>,
  credentials: {
    readonly tokens?: readonly Credential[];
    readonly hmacKeys?: readonly Credential[];
    now?: () => number;
  } = {},
  options: Partial<GatewayOptions> = {},
  mount?: GatewayPorts['mount'],
): Promise<TestGateway> {
  const stage: Stage = {
    queued: [],
    full: false,
    fault: undefined,
    states: ['listing'],
    defended: [],
    listed: [],
    defend: async (bytes, name, _, deadline) => {
      stage.defended.push({ bytes, name, deadline });
      const verdict = okVerdict(name);
      return { verdict, outcome: { verdict, passes: 1, explanation: testExplanation(name) }, labels: [] };
    },
  };
  const stream: ImageStream = {
    isFull: async () => stage.full,
    append: async images => {
      if (stage.fault !== undefined) throw stage.fault;
      const first = stage.queued.length;
      stage.queued.push(...images.map(({ key }) => key));
      return images.map((_, i) => ({ job: JOB.name, id: JOB.id, chunk: (first + i) >> 6, place: (first + i) & 63 }));
    },
  };
  const seen = seenByOne();
  const intake = new Intake([{ bucket: 'photos', key: 'in' }], stream, seen);
  const reconciliation = new Reconciliation({
    intake,
    seen,
    async *list() {
      yield* stage.listed;
    },
  });
  const memory = memoryOfOne();
  const { tokens = [], hmacKeys = [], now } = credentials;
  const ports: GatewayPorts = {
    authentication: new Authentication({ tokens, hmacKeys }, memory, now),
    memory,
    intake,
    reconciliation,
    direct: { defend: (...args) => stage.defend(...args), close: async () => undefined },
    ...(mount === undefined ? {} : { mount }),
    telemetry: { metrics: await Metrics.create([]), health: new Health() },
    jobs: {
      get: async name => {
        if (name === JOB.name) return JOB;
        throw new DeflectorError('JOB_NOT_FOUND', `There is no job called ${name}`);
      },
      async *list() {
        yield JOB;
      },
      progress: async () => {
        const state = stage.states.length > 1 ? stage.states.shift()! : stage.states[0]!;
        return { ...PROGRESS, state };
      },
      isDone: async (_, chunk) => chunk === 0,
      verdictsOf: async () => [okVerdict('photos/in/a.jpg')],
    },
  };
  const app = await createGateway(ports, {
    rate: 1_000_000,
    requestDeadline: 30,
    maxBytes: 1_000_000,
    eventKeys: 'auto',
    ...options,
  });
  t.after(async () => {
    await reconciliation.close();
    await app.close();
  });
  return { app, stage, reconciliation };
}
