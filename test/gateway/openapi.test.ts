import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import type { InjectOptions } from 'fastify';
import { z } from 'zod';
import { checkLeaks } from '../helpers/leaks.js';
import { JOB, testGateway } from '../helpers/test-gateway.js';

checkLeaks();

type Schema = Parameters<typeof z.fromJSONSchema>[0];
interface Operation {
  readonly operationId: string;
  readonly security?: unknown;
  readonly responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}
type Document = { paths: Record<string, Record<string, Operation>> };

const json = { 'content-type': 'application/json' };
const png = { 'content-type': 'image/png' };
const post = (url: string, payload: unknown, headers: Record<string, string> = json): InjectOptions => ({
  method: 'POST',
  url,
  headers,
  payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
});

/** At least one good and one bad request for each operation. */
const REQUESTS: Readonly<Record<string, readonly InjectOptions[]>> = {
  takeEvents: [post('/v1/events', { Event: 's3:TestEvent' }), post('/v1/events', 'no json')],
  takeImages: [
    post('/v1/images', { keys: ['s3://photos/in/a.jpg'] }),
    post('/v1/images', { keys: ['s3://other/a.jpg'] }),
    post('/v1/images', { keys: [] }),
  ],
  reconcile: [post('/v1/reconcile', {}), post('/v1/reconcile', { below: 'elsewhere' })],
  showReconciliation: [{ url: '/v1/reconcile' }],
  defend: [post('/v1/defend', 'x', png), post('/v1/defend', 'x', { 'content-type': 'text/plain' })],
  explain: [post('/v1/explain', 'x', png), post('/v1/explain?other=1', 'x', png)],
  listJobs: [{ url: '/v1/jobs' }],
  showJob: [{ url: `/v1/jobs/${JOB.name}` }, { url: '/v1/jobs/other' }],
  watchJob: [{ url: `/v1/jobs/${JOB.name}/events` }, { url: '/v1/jobs/other/events' }],
  showVerdict: [
    { url: `/v1/verdicts/${JOB.name}:${JOB.id}:0:0` },
    { url: `/v1/verdicts/${JOB.name}:${JOB.id}:1:0` },
    { url: '/v1/verdicts/x' },
  ],
};

describe('/openapi.json', () => {
  it('is a valid document of OpenAPI 3.1', async t => {
    const { app } = await testGateway(t);
    const document = (await app.inject('/openapi.json')).json();
    assert.equal(document.openapi, '3.1.0');
    const result = await new Validator().validate(document);
    assert.deepEqual([result.valid, result.errors], [true, undefined]);
  });

  it('says of every operation what it really answers', async t => {
    const { app, stage } = await testGateway(t);
    stage.states[0] = 'complete';
    const { paths } = (await app.inject('/openapi.json')).json() as Document;
    const operations = Object.values(paths).flatMap(methods => Object.values(methods));
    assert.deepEqual(operations.map(({ operationId }) => operationId).sort(), Object.keys(REQUESTS).sort());
    for (const { operationId, responses } of operations) {
      for (const request of REQUESTS[operationId]!) {
        const { statusCode, headers, body } = await app.inject(request);
        const said = responses[statusCode] ?? responses[`${String(statusCode)[0]}XX`];
        const type = String(headers['content-type']).split(';')[0]!;
        const schema = said?.content?.[type]?.schema;
        assert.ok(schema, `${operationId}: ${statusCode} ${type} is not in the document`);
        const value = /json$/.test(type) ? JSON.parse(body) : body;
        const { success, error } = z.fromJSONSchema(schema).safeParse(value);
        assert.ok(success, `${operationId}: ${statusCode}: ${error?.message}`);
      }
    }
  });
});
