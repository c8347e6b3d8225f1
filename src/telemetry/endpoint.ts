/**
 * What a process tells of itself over HTTP: `/metrics`, `/healthz` (live), `/readyz` (ready). `answer` knows no server, so
 * that any can offer it; `serveTelemetry` is the small one of the workers.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DeflectorError } from '../errors.js';
import { negotiate } from './exposition.js';
import type { Health, HealthReport } from './health.js';
import type { Metrics } from './metrics.js';

export interface TelemetrySources {
  readonly metrics: Metrics;
  readonly health: Health;
}

export interface TelemetryAnswer {
  readonly status: number;
  /** Value of the header Content-Type. */
  readonly type: string;
  readonly body: string;
}

/** Paths that `telemetryAnswer` knows. */
export const TELEMETRY_PATHS = ['/metrics', '/healthz', '/readyz'] as const;

/** @param accept the header Accept @returns `undefined` for another path */
export async function telemetryAnswer(
  { metrics, health }: TelemetrySources,
  path: string,
  accept: string | undefined,
): Promise<TelemetryAnswer | undefined> {
  if (path === '/metrics') return { status: 200, ...(await metrics.expose(negotiate(accept))) };
  if (path === '/healthz') return healthAnswer(await health.liveness());
  if (path === '/readyz') return healthAnswer(await health.readiness());
  return undefined;
}

export interface TelemetryServer {
  /** `http://host:port` */
  readonly url: string;
  close(): Promise<void>;
}

/** Milliseconds that a client may take for its request. */
const REQUEST_TIMEOUT_MS = 10_000;
const MOST_CONNECTIONS = 64;

/**
 * @param port 0 takes any that is free
 * @throws DeflectorError SETTINGS_INVALID where the address cannot be listened on
 */
export async function serveTelemetry(
  sources: TelemetrySources,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<TelemetryServer> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS });
  server.maxConnections = MOST_CONNECTIONS;
  server.on('request', async (request, response) => {
    // Nothing is read of a body.
    request.resume();
    const path = (request.url ?? '').split('?')[0]!;
    const known = request.method === 'GET' || request.method === 'HEAD';
    const answer = known ? await telemetryAnswer(sources, path, request.headers.accept).catch(failed) : refused;
    const { status, type, body } = answer ?? notFound;
    const length = Buffer.byteLength(body);
    response.writeHead(status, { 'content-type': type, 'content-length': length, 'cache-control': 'no-store' });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  await listen(server, host, port);
  const { address, family, port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const notFound: TelemetryAnswer = plain(404, `Known here: ${TELEMETRY_PATHS.join(' ')}\n`);
const refused: TelemetryAnswer = plain(405, 'GET and HEAD only\n');

function failed(error: unknown): TelemetryAnswer {
  return plain(500, `${error instanceof Error ? error.message : String(error)}\n`);
}

function plain(status: number, body: string): TelemetryAnswer {
  return { status, type: 'text/plain; charset=utf-8', body };
}

function healthAnswer({ ok, checks }: HealthReport): TelemetryAnswer {
  const body = `${JSON.stringify({ status: ok ? 'ok' : 'failing', checks })}\n`;
  return { status: ok ? 200 : 503, type: 'application/json; charset=utf-8', body };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
    const message = `Expected an address to listen on for --metrics-host and --metrics-port but ${host}:${port} gives ${reason}`;
    throw new DeflectorError('SETTINGS_INVALID', message, { cause });
  }
}
