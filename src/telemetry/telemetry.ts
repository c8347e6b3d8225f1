/** What a process tells of itself, where its settings name a port for it. */
import type { RedisConnection } from '../queue/redis.js';
import { SILENT, type StageName, type StageObserver } from '../stages/observer.js';
import { readDeployment } from './deployment.js';
import { serveTelemetry } from './endpoint.js';
import { Health } from './health.js';
import { Metrics } from './metrics.js';
import { redisCheck } from './redis-check.js';
import { withSpans } from './spans.js';
import { type Tracer, UNTRACED } from './tracer.js';

/** The settings of group `telemetry`. */
export interface TelemetryOptions {
  readonly metricsPort: number | null;
  readonly metricsHost: string;
}

export interface Telemetry {
  /** Counts what it is told; nobody, where no port is set. */
  readonly observer: StageObserver;
  readonly health: Health;
  /** Where it is served, `http://host:port`. */
  readonly url: string | undefined;
  /** Says that the process takes nothing new any more. */
  drain(): void;
  close(): Promise<void>;
}

/**
 * @param stages that this process carries out
 * @param sources Redis, where there is a deployment to tell of; the tracer, where what the stages tell is to become spans
 * @throws DeflectorError SETTINGS_INVALID where the address cannot be listened on
 */
export async function startTelemetry(
  { metricsPort: port, metricsHost: host }: TelemetryOptions,
  stages: readonly StageName[],
  sources: { readonly redis?: RedisConnection; readonly tracer?: Tracer } = {},
): Promise<Telemetry> {
  const { redis, tracer = UNTRACED } = sources;
  const health = new Health();
  const observe = (inner: StageObserver) => (tracer === UNTRACED ? inner : withSpans(tracer, inner));
  if (port === null) {
    return { health, observer: observe(SILENT), url: undefined, drain: () => undefined, close: async () => undefined };
  }
  const metrics = await Metrics.create(stages, redis === undefined ? undefined : () => readDeployment(redis));
  if (redis !== undefined) health.addReadiness('queue', redisCheck(redis));
  const server = await serveTelemetry({ metrics, health }, { host, port });
  return {
    health,
    observer: observe(metrics),
    url: server.url,
    drain: () => {
      metrics.draining = true;
      health.addReadiness('state', () => 'draining');
    },
    close: () => server.close(),
  };
}
