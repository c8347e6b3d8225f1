/** The OpenAPI 3.1 document, made from the schemas of the routes. */
import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { z } from 'zod';
import { VERSION } from '../version.js';
import { SIGNATURE_SCHEME } from './authentication.js';
import { PROBLEM_TYPE } from './problem.js';
import { problem } from './schemas.js';

/** An answer that is no JSON of a schema. */
interface OtherAnswer {
  readonly description: string;
  readonly content: Readonly<Record<string, { readonly schema: z.ZodType }>>;
}

export async function openApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Deflector ingest gateway',
        version: VERSION,
        description: 'Takes images in for defence: storage events, keys of objects, single images.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      tags: [
        { name: 'ingest', description: 'Images into the queue' },
        { name: 'defend', description: 'One image at once' },
        { name: 'jobs', description: 'What became of them' },
      ],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer' },
          basic: { type: 'http', scheme: 'basic', description: 'Name of a token, and the token as password' },
          signature: {
            type: 'apiKey',
            in: 'header',
            name: 'Authorization',
            description: `${SIGNATURE_SCHEME} key=NAME,timestamp=SECONDS,nonce=TEXT,signature=HEX`,
          },
        },
      },
      security: [{ bearer: [] }, { basic: [] }, { signature: [] }],
    },
    transform: ({ schema, url }) => ({ schema: documented(schema as FastifySchema | undefined), url }),
  });
  app.get('/openapi.json', { config: { public: true }, schema: { hide: true } }, async () => app.swagger());
}

function documented(schema: FastifySchema = {}): FastifySchema {
  const { body, querystring, params, headers, response, ...rest } = schema;
  const parts = Object.entries({ body, querystring, params, headers }).flatMap(([name, part]) =>
    part === undefined ? [] : [[name, jsonSchema(part as z.ZodType, 'input')]],
  );
  const answers = Object.entries({ ...(response as Record<string, z.ZodType | OtherAnswer>) }).map(
    ([status, answer]) => [
      status,
      isOther(answer)
        ? {
            ...answer,
            content: mapValues(answer.content, ({ schema: inner }) => ({ schema: jsonSchema(inner, 'output') })),
          }
        : { description: answer.description ?? 'Done', ...jsonSchema(answer, 'output') },
    ],
  );
  const failed = {
    description: 'Problem details (RFC 9457)',
    content: { [PROBLEM_TYPE]: { schema: jsonSchema(problem, 'output') } },
  };
  return {
    ...rest,
    ...Object.fromEntries(parts),
    response: { ...Object.fromEntries(answers), '4xx': failed, '5xx': failed },
  };
}

function isOther(answer: z.ZodType | OtherAnswer): answer is OtherAnswer {
  return 'content' in answer;
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' });
  return rest;
}

function mapValues<T, U>(values: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
}
