/** Images into the queue: by storage events, by name, by listing. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { DeflectorError } from '../errors.js';
import { verdictId } from '../sinks/verdict-id.js';
import { parseS3Address } from '../storage/s3-address.js';
import {
  cloudEventShape,
  type EventKeys,
  notificationShape,
  objectAt,
  readCloudEvent,
  readNotification,
  type Told,
  testEventShape,
} from './events.js';
import type { Intake } from './intake.js';
import type { Reconciliation } from './reconciliation.js';
import { eventsBody, imagesAnswer, imagesBody, receipt, reconcileAnswer, reconcileBody } from './schemas.js';

const batchShape = z.array(cloudEventShape).max(1000);

export function intakeRoutes(
  app: FastifyInstance,
  intake: Intake,
  reconciliation: Reconciliation,
  eventKeys: EventKeys,
): void {
  app.post(
    '/v1/events',
    {
      config: { idempotent: true },
      schema: {
        tags: ['ingest'],
        operationId: 'takeEvents',
        summary: 'Take storage events',
        description:
          'Event notifications of S3 servers (AWS, MinIO, versitygw), and CloudEvents 1.0 in structured, batched or binary mode that hold one. An event that comes again is a duplicate.',
        consumes: ['application/json', 'application/cloudevents+json', 'application/cloudevents-batch+json'],
        body: eventsBody,
        response: { 202: receipt },
      },
    },
    async (request, reply) => reply.code(202).send(await intake.events(toldBy(request, eventKeys))),
  );

  app.post(
    '/v1/images',
    {
      config: { idempotent: true },
      schema: {
        tags: ['ingest'],
        operationId: 'takeImages',
        summary: 'Put objects into the queue by their names',
        body: imagesBody,
        response: { 202: imagesAnswer },
      },
    },
    async (request, reply) => {
      const { keys } = request.body as z.infer<typeof imagesBody>;
      const placed = await intake.objects(keys.map(objectAt));
      const images = placed.map((image, place) => ({
        key: keys[place]!,
        job: image.job,
        id: verdictId(image, image.place),
      }));
      reply.header('location', `/v1/jobs/${placed[0]!.job}`);
      return reply.code(202).send({ accepted: images.length, images });
    },
  );

  app.post(
    '/v1/reconcile',
    {
      schema: {
        tags: ['ingest'],
        operationId: 'reconcile',
        summary: 'List what is allowed, and take the images that no event told of',
        body: reconcileBody,
        response: { 202: reconcileAnswer },
      },
    },
    async (request, reply) => {
      const { below } = request.body as z.infer<typeof reconcileBody>;
      const address = below === undefined ? undefined : parseS3Address(below);
      if (below !== undefined && address === undefined) {
        throw new DeflectorError('REQUEST_INVALID', 'Expected s3://bucket/prefix for below');
      }
      return reply.code(202).send(reconciliation.start(address));
    },
  );

  app.get(
    '/v1/reconcile',
    {
      schema: {
        tags: ['ingest'],
        operationId: 'showReconciliation',
        summary: 'How far the last listing is',
        response: { 200: reconcileAnswer },
      },
    },
    async () => reconciliation.last,
  );
}

/** @throws DeflectorError REQUEST_INVALID */
function toldBy({ headers, body }: FastifyRequest, keys: EventKeys): Told {
  const type = headers['content-type'] ?? '';
  if (/^application\/cloudevents-batch\+json/i.test(type)) {
    const told = read(batchShape, body, 'a batch of CloudEvents').map(event => readCloudEvent(event, keys));
    return { created: told.flatMap(({ created }) => created), other: told.reduce((sum, { other }) => sum + other, 0) };
  }
  // Some senders can say nothing but application/json.
  const structured = typeof body === 'object' && body !== null && 'specversion' in body;
  if (structured || /^application\/cloudevents\+json/i.test(type)) {
    return readCloudEvent(read(cloudEventShape, body, 'a CloudEvent'), keys);
  }
  if (headers['ce-specversion'] !== undefined) {
    const attributes = ['specversion', 'id', 'source', 'type'].map(name => [name, headers[`ce-${name}`]]);
    const event = { ...Object.fromEntries(attributes), data: body };
    return readCloudEvent(read(cloudEventShape, event, 'a CloudEvent in the headers'), keys);
  }
  if (testEventShape.safeParse(body).success) return { created: [], other: 1 };
  return readNotification(read(notificationShape, body, 'an S3 event notification'), keys);
}

function read<T>(shape: z.ZodType<T>, value: unknown, what: string): T {
  const { success, data, error } = shape.safeParse(value);
  if (success) return data;
  const { path, message } = error.issues[0]!;
  throw new DeflectorError('REQUEST_INVALID', `Expected ${what}: ${path.join('.').slice(0, 100)}: ${message}`);
}
