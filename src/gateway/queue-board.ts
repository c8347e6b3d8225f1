/** The queues for people: Bull Board, to look at only. */
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import type { Queue } from 'bullmq';
import type { FastifyInstance } from 'fastify';
import { DeflectorError } from '../errors.js';
import { asGatewayError, problemOf } from './problem.js';

const PATH = '/queues';

/** The page brings a style of its own along, and asks for fonts elsewhere, which it does not get. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'self'",
  "frame-ancestors 'none'",
].join('; ');

/** Serves the board behind the checks of the gateway. What would change a queue is refused: jobs are changed by `deflector jobs`. */
export async function mountQueueBoard(app: FastifyInstance, queues: readonly Queue[]): Promise<void> {
  const adapter = new FastifyAdapter();
  createBullBoard({
    queues: queues.map(queue => new BullMQAdapter(queue, { readOnlyMode: true })),
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: 'Deflector', boardLogo: { path: '' }, hideRedisDetails: true } },
  });
  adapter.setBasePath(PATH);
  adapter.setErrorHandler(error => {
    const problem = problemOf(asGatewayError(error));
    return { status: problem.status as 500, body: problem };
  });
  await app.register(async scope => {
    scope.addHook('onRequest', async (request, reply) => {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        throw new DeflectorError('ROUTE_NOT_FOUND', 'The board is to look at only');
      }
      reply.header('content-security-policy', POLICY);
    });
    await scope.register(adapter.registerPlugin(), { prefix: PATH });
  });
}
