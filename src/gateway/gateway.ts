/**
 * The ingest gateway as an HTTP server (Fastify): checks who calls and how often, and answers.
 *
 *     request ──▶ origin ──▶ credentials ──▶ rate ──▶ idempotency ──▶ route ──▶ answer, problem details where it failed
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import multipart from '@fastify/multipart';
import rateLimit from '@fastify/rate-limit';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
  type RawServerDefault,
} from 'fastify';
import type { z } from 'zod';
import { DeflectorError } from '../errors.js';
import type { TelemetrySources } from '../telemetry/endpoint.js';
import type { Authentication, Identity } from './authentication.js';
import { defendRoutes } from './defend-routes.js';
import type { DirectDefence } from './direct-defence.js';
import type { EventKeys } from './events.js';
import { type Claim, Idempotency } from './idempotency.js';
import type { Intake } from './intake.js';
import { intakeRoutes } from './intake-routes.js';
import { type JobPorts, jobRoutes } from './job-routes.js';
import type { SharedMemory } from './memory.js';
import { openApi } from './openapi.js';
import { checkOrigin } from './origin.js';
import { pageRoutes } from './page-routes.js';
import { asGatewayError, PROBLEM_TYPE, problemOf, retryAfter } from './problem.js';
import type { Reconciliation } from './reconciliation.js';
import { telemetryRoutes } from './telemetry-routes.js';

/** JSON that a request may hold, in bytes. */
const MAX_JSON_BYTES = 4 * 1024 * 1024;

/** Milliseconds in which a request must have come whole. */
const REQUEST_LIMIT_MS = 60_000;

export interface GatewayPorts {
  readonly authentication: Authentication;
  readonly memory: SharedMemory;
  readonly intake: Intake;
  readonly reconciliation: Reconciliation;
  readonly direct: DirectDefence;
  readonly jobs: JobPorts;
  readonly telemetry: TelemetrySources;
  /** Anything else that is to be served, behind the same checks: the dashboard of the queues. */
  readonly mount?: (app: FastifyInstance) => Promise<void>;
}

export interface GatewayOptions {
  /** Requests a second of one client. */
  readonly rate: number;
  /** Longest time in seconds that defending one image may take. */
  readonly requestDeadline: number;
  readonly maxBytes: number;
  readonly eventKeys: EventKeys;
  readonly logger?: FastifyBaseLogger;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls: the name of a credential; without credentials the address. */
    client: string;
    identity: Identity | undefined;
    /** SHA-256 of the body, hexadecimal, where a signature or an Idempotency-Key asks for it. */
    bodySha256: string;
    claim: Claim | undefined;
  }
  interface FastifyContextConfig {
    /** Served to everybody. */
    readonly public?: boolean;
    /** Whether an Idempotency-Key holds here. */
    readonly idempotent?: boolean;
  }
}

/** Makes the server, without listening yet; closing it ends requests under way in order. */
export async function createGateway(ports: GatewayPorts, options: GatewayOptions): Promise<FastifyInstance> {
  const app: FastifyInstance = fastify({
    ...(options.logger === undefined ? {} : { loggerInstance: options.logger }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_JSON_BYTES,
    requestTimeout: REQUEST_LIMIT_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    routerOptions: { maxParamLength: 200 },
  } as Parameters<typeof fastify>[0]) as unknown as FastifyInstance<RawServerDefault>;
  answerProblems(app);
  readBodies(app, options.maxBytes);
  app.setValidatorCompiler(({ schema }) => validatorOf(schema as unknown as z.ZodType));
  app.setSerializerCompiler(() => data => JSON.stringify(data));
  app.decorateRequest('client', '');
  app.decorateRequest('identity', undefined);
  app.decorateRequest('bodySha256', '');
  app.decorateRequest('claim', undefined);

  await openApi(app);
  await app.register(multipart, {
    limits: { files: 1, fields: 0, parts: 1, headerPairs: 20, fileSize: options.maxBytes },
    throwFileSizeLimit: true,
  });
  await app.register(rateLimit, { global: false });
  guard(app, ports.authentication, options.rate);
  repeat(app, new Idempotency(ports.memory));
  logRequests(app);
  endInOrder(app);

  intakeRoutes(app, ports.intake, ports.reconciliation, options.eventKeys);
  defendRoutes(app, ports.direct, options);
  jobRoutes(app, ports.jobs);
  await pageRoutes(app, !ports.authentication.isOpen);
  telemetryRoutes(app, ports.telemetry);
  await ports.mount?.(app);
  return app;
}

function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => {
    const known = asGatewayError(error);
    const problem = problemOf(known);
    if (problem.status === 500) request.log.error({ err: error }, 'a defect of the gateway');
    else if (problem.status > 500) request.log.warn({ code: known.code, reason: known.message }, 'could not be done');
    return reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem));
  });
  app.setNotFoundHandler(() => {
    throw new DeflectorError('ROUTE_NOT_FOUND', 'There is nothing under this path and method');
  });
  // Here, since parts that are mounted may have error handlers of their own.
  app.addHook('onSend', async (request, reply) => {
    const after = retryAfter(reply.statusCode);
    if (after !== undefined) reply.header('retry-after', after);
    if (reply.statusCode === 401) reply.header('www-authenticate', challengeOf(request));
  });
}

/** A browser asks its user for a token only where he opened the page himself. */
function challengeOf({ url, headers }: FastifyRequest): string {
  const opened = headers['sec-fetch-mode'] === 'navigate' || !url.startsWith('/v1/');
  return opened ? 'Basic realm="deflector", charset="UTF-8"' : 'Bearer realm="deflector"';
}

/** JSON in any of its forms, and images as their bytes. */
function readBodies(app: FastifyInstance, maxBytes: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    /^application\/(?:json|cloudevents\+json|cloudevents-batch\+json)(?:;|$)/i,
    { parseAs: 'buffer', bodyLimit: MAX_JSON_BYTES },
    async (_: FastifyRequest, body: Buffer) => {
      if (body.length === 0) return undefined;
      try {
        return JSON.parse(body.toString('utf8')) as unknown;
      } catch (cause) {
        throw new DeflectorError('REQUEST_INVALID', 'The body is not JSON', { cause });
      }
    },
  );
  app.addContentTypeParser(
    /^(?:image\/[\w.+-]+|application\/octet-stream)(?:;|$)/i,
    { parseAs: 'buffer', bodyLimit: maxBytes },
    async (_: FastifyRequest, body: Buffer) => body,
  );
}

/** @returns what Fastify calls with a part of each request */
function validatorOf(schema: z.ZodType) {
  return (data: unknown) => {
    const { success, data: value, error } = schema.safeParse(data);
    if (success) return { value };
    const { path, message } = error.issues[0]!;
    const where = path.length === 0 ? '' : ` (${path.join('.').slice(0, 100)})`;
    return { error: new DeflectorError('REQUEST_INVALID', `The request is not as it should be${where}: ${message}`) };
  };
}

function guard(app: FastifyInstance, authentication: Authentication, rate: number): void {
  const limiter = app.createRateLimit({ max: rate, timeWindow: 1000, keyGenerator: request => request.client });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    checkOrigin(request, authentication.isOpen);
    request.client = `address ${request.ip}`;
    if (authentication.isOpen || request.routeOptions.config.public === true) return;
    try {
      request.identity = authentication.identify(request.headers.authorization);
    } catch (error) {
      // Guessing is limited by address.
      await limit(request);
      throw error;
    }
    if (request.identity.kind === 'known') request.client = request.identity.name;
  });
  app.addHook('preParsing', async (request, _, payload) => {
    const { identity, headers, routeOptions } = request;
    let body: NodeJS.ReadableStream = payload;
    if (identity?.kind === 'signed' || headers['idempotency-key'] !== undefined) {
      if (/^multipart\//i.test(headers['content-type'] ?? '')) {
        const message = 'Signatures and Idempotency-Keys are for plain bodies: send the image itself, not a form';
        throw new DeflectorError('MEDIA_TYPE_UNSUPPORTED', message);
      }
      const bytes = await collect(payload, routeOptions.bodyLimit);
      request.bodySha256 = createHash('sha256').update(bytes).digest('hex');
      body = Object.assign(Readable.from([bytes]), { receivedEncodedLength: bytes.length });
    }
    if (identity?.kind === 'signed') {
      const { method, url: target, bodySha256 } = request;
      try {
        request.client = await authentication.verify(identity.claim, { method, target, bodySha256 });
      } catch (error) {
        await limit(request);
        throw error;
      }
    }
    if (routeOptions.config.public !== true) await limit(request);
    return body as typeof payload;
  });

  async function limit(request: FastifyRequest): Promise<void> {
    const outcome = await limiter(request);
    if (!outcome.isAllowed && outcome.isExceeded) {
      throw new DeflectorError('RATE_LIMITED', `More than ${rate} requests came within a second`);
    }
  }
}

/** @throws DeflectorError REQUEST_TOO_LARGE */
async function collect(payload: AsyncIterable<Buffer | string>, maxBytes: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of payload) {
    const bytes = Buffer.from(piece);
    length += bytes.length;
    if (length > maxBytes) throw new DeflectorError('REQUEST_TOO_LARGE', `The body is larger than ${maxBytes} bytes`);
    pieces.push(bytes);
  }
  return Buffer.concat(pieces, length);
}

function repeat(app: FastifyInstance, idempotency: Idempotency): void {
  app.addHook('preValidation', async (request, reply) => {
    const key = request.headers['idempotency-key'];
    if (typeof key !== 'string' || request.routeOptions.config.idempotent !== true) return;
    const { method, url, bodySha256 } = request;
    const type = request.headers['content-type'] ?? '';
    const claim = await idempotency.claim(request.client, key, [method, url, type, bodySha256]);
    if ('request' in claim) {
      request.claim = claim;
      return;
    }
    reply.code(claim.status).headers(claim.headers).header('idempotency-replayed', 'true');
    return reply.send(claim.body);
  });
  app.addHook('onSend', async ({ claim }, reply, payload) => {
    if (claim === undefined) return;
    const headers = Object.fromEntries(
      ['content-type', 'location'].flatMap(name => {
        const value = reply.getHeader(name);
        return typeof value === 'string' ? [[name, value]] : [];
      }),
    );
    await idempotency.settle(claim, { status: reply.statusCode, headers, body: String(payload) });
  });
}

/** A connection that is kept open would hold the server back once it closes. */
function endInOrder(app: FastifyInstance): void {
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  app.addHook('onSend', async (_, reply) => {
    if (closing) reply.header('connection', 'close');
  });
}

/** One line a request: no header, no query, no body. */
function logRequests(app: FastifyInstance): void {
  app.addHook('onResponse', async (request, reply) => {
    const { method, client, routeOptions } = request;
    const ms = Math.round(10 * reply.elapsedTime) / 10;
    request.log.info({ method, route: routeOptions.url ?? 'none', status: reply.statusCode, ms, client }, 'request');
  });
}
