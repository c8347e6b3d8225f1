/** Metrics and health on the port of the gateway: health for everybody, metrics for who may call. */
import type { FastifyInstance } from 'fastify';
import { TELEMETRY_PATHS, type TelemetrySources, telemetryAnswer } from '../telemetry/endpoint.js';

export function telemetryRoutes(app: FastifyInstance, sources: TelemetrySources): void {
  for (const path of TELEMETRY_PATHS) {
    const config = { public: path !== '/metrics' };
    app.get(path, { config, schema: { hide: true } }, async (request, reply) => {
      const { status, type, body } = (await telemetryAnswer(sources, path, request.headers.accept))!;
      return reply.code(status).type(type).send(body);
    });
  }
}
