/** Schemas for kubeconform, out of the description that the API server gives of itself, custom resources included. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiServer } from '../helpers/kubernetes.js';

interface Schema {
  readonly [keyword: string]: unknown;
}

interface Description {
  readonly definitions: Readonly<Record<string, Schema>>;
}

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** Where kubeconform finds the schema of a kind. */
export const SCHEMA_LOCATION = '{{.ResourceKind}}-{{.ResourceAPIVersion}}.json';

/** Writes a schema for each kind that the server knows. @returns how many */
export async function writeSchemas({ call }: ApiServer, folder: string): Promise<number> {
  const { definitions } = (await call('GET', '/openapi/v2')).body as Description;
  await mkdir(folder, { recursive: true });
  let written = 0;
  for (const [name, schema] of Object.entries(definitions)) {
    for (const { kind, version } of (schema['x-kubernetes-group-version-kind'] ?? []) as readonly Kind[]) {
      const used: Record<string, Schema> = {};
      collect(name, definitions, used);
      const file = join(folder, `${kind.toLowerCase()}-${version}.json`);
      await writeFile(file, JSON.stringify({ $ref: `#/definitions/${name}`, definitions: used }));
      written++;
    }
  }
  return written;
}

/** A definition, and all that it refers to. */
function collect(name: string, all: Description['definitions'], used: Record<string, Schema>): void {
  if (used[name] !== undefined) return;
  const schema = strict(all[name]!);
  used[name] = schema;
  for (const [, other] of JSON.stringify(schema).matchAll(/"#\/definitions\/([^"]+)"/g)) collect(other!, all, used);
}

/** Unknown fields are mistakes; what Kubernetes takes as number or text is either. */
function strict(schema: Schema): Schema {
  if (schema['x-kubernetes-int-or-string'] === true || schema.format === 'int-or-string') {
    return { type: ['integer', 'string'] };
  }
  const { properties } = schema as { properties?: Readonly<Record<string, Schema>> };
  const { items, additionalProperties } = schema as { items?: Schema; additionalProperties?: Schema | boolean };
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true;
  return {
    ...schema,
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, strict(value)])),
          ...(open || additionalProperties !== undefined ? {} : { additionalProperties: false }),
        }),
    ...(items === undefined ? {} : { items: strict(items) }),
    ...(typeof additionalProperties === 'object' ? { additionalProperties: strict(additionalProperties) } : {}),
  };
}
