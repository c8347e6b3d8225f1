/**
 * Verdicts as rows of a Parquet file, schema `deflector/verdict-rows@1`: the fields of the JSON, under their names there.
 *
 *     schema, key, status, seed     string
 *     sha256                        string, null where the bytes could not be read
 *     label, undefended             struct { index int32, id string, name string }; undefended also probability double
 *     votes                         list of struct { index int32, count int32 }
 *     runs, runsExecuted            int32
 *     agreement, probability        double, rounded as in the JSON
 *     suspicious                    boolean
 *     model                         struct { name string, sha256 string }
 *     defence                       JSON
 *     ms                            map of string to double
 *     error                         struct { code string, message string, retryable boolean }, null where status is ok
 *
 * What an error verdict does not have is null.
 */
import type { SchemaElement } from 'hyparquet-writer';
import type { Verdict } from '../types.js';
import { formatVerdict } from './verdict-json.js';

/** Key and value in the file's own metadata. */
export const PARQUET_SCHEMA = { key: 'schema', value: 'deflector/verdict-rows@1' } as const;

type Leaf = Pick<SchemaElement, 'type' | 'converted_type'>;

const TEXT: Leaf = { type: 'BYTE_ARRAY', converted_type: 'UTF8' };
const JSON_TEXT: Leaf = { type: 'BYTE_ARRAY', converted_type: 'JSON' };
const INT32: Leaf = { type: 'INT32' };
const DOUBLE: Leaf = { type: 'DOUBLE' };
const BOOLEAN: Leaf = { type: 'BOOLEAN' };

type Elements = readonly SchemaElement[];

function required(name: string, leaf: Leaf): Elements {
  return [{ name, repetition_type: 'REQUIRED', ...leaf }];
}

function optional(name: string, leaf: Leaf): Elements {
  return [{ name, repetition_type: 'OPTIONAL', ...leaf }];
}

function struct(name: string, repetition_type: 'OPTIONAL' | 'REPEATED', ...fields: Elements[]): Elements {
  return [{ name, repetition_type, num_children: fields.length }, ...fields.flat()];
}

/** LIST as the format has it: a group `list` that repeats, and in it the group `element`. */
function listOf(name: string, ...fields: Elements[]): Elements {
  return [
    { name, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', repetition_type: 'REQUIRED', num_children: fields.length },
    ...fields.flat(),
  ];
}

function mapOf(name: string, value: Leaf): Elements {
  return [
    { name, repetition_type: 'REQUIRED', num_children: 1, converted_type: 'MAP' },
    ...struct('key_value', 'REPEATED', required('key', TEXT), required('value', value)),
  ];
}

const LABEL = [required('index', INT32), required('id', TEXT), required('name', TEXT)];

/** The columns in their order: one entry each, which begins with the column itself. */
const COLUMNS: readonly Elements[] = [
  required('schema', TEXT),
  required('key', TEXT),
  optional('sha256', TEXT),
  required('status', TEXT),
  struct('label', 'OPTIONAL', ...LABEL),
  listOf('votes', required('index', INT32), required('count', INT32)),
  optional('runs', INT32),
  optional('runsExecuted', INT32),
  optional('agreement', DOUBLE),
  optional('probability', DOUBLE),
  struct('undefended', 'OPTIONAL', ...LABEL, required('probability', DOUBLE)),
  optional('suspicious', BOOLEAN),
  optional('seed', TEXT),
  struct('model', 'OPTIONAL', required('name', TEXT), required('sha256', TEXT)),
  optional('defence', JSON_TEXT),
  mapOf('ms', DOUBLE),
  struct('error', 'OPTIONAL', required('code', TEXT), required('message', TEXT), required('retryable', BOOLEAN)),
];

export const PARQUET_ELEMENTS: SchemaElement[] = [{ name: 'verdict', num_children: COLUMNS.length }, ...COLUMNS.flat()];

export const PARQUET_COLUMNS: readonly string[] = COLUMNS.map(([column]) => column!.name);

/** A verdict as a row: a value a column, numbers rounded as `formatVerdict` rounds them. */
export function rowOf(verdict: Verdict): Readonly<Record<string, unknown>> {
  return JSON.parse(formatVerdict(verdict)) as Record<string, unknown>;
}
