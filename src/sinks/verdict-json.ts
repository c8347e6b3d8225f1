/** Verdicts as lines of JSON, and back. */
import { z } from 'zod';
import { DeflectorError, ERROR_CATALOGUE, type ErrorCode } from '../errors.js';
import { type OkVerdict, VERDICT_SCHEMA, type Verdict } from '../types.js';

/** Longest line of a results file in bytes. */
export const MAX_VERDICT_BYTES = 1024 * 1024;

/**
 * One verdict as one line of JSON without the line's end: fields in the order of the contract, shares and
 * probabilities rounded to 6 decimals, durations to 0.1 ms. Equal verdicts give equal bytes.
 *
 * @throws DeflectorError INTERNAL for a number that is not finite
 */
export function formatVerdict(verdict: Verdict): string {
  const { schema, key, sha256, ms } = verdict;
  const head = { schema, key, ...(sha256 === undefined ? {} : { sha256 }), status: verdict.status };
  if (verdict.status === 'error') {
    const { code, message, retryable } = verdict.error;
    return JSON.stringify({ ...head, error: { code, message, retryable }, ms: durations(ms) });
  }
  return JSON.stringify({ ...head, ...evidence(verdict), ms: durations(ms) });
}

function evidence(verdict: OkVerdict): Record<string, unknown> {
  return {
    label: label(verdict.label),
    votes: verdict.votes.map(({ index, count }) => ({ index, count })),
    runs: verdict.runs,
    runsExecuted: verdict.runsExecuted,
    agreement: rounded(verdict.agreement, 6),
    probability: rounded(verdict.probability, 6),
    undefended: { ...label(verdict.undefended), probability: rounded(verdict.undefended.probability, 6) },
    suspicious: verdict.suspicious,
    seed: verdict.seed,
    model: { name: verdict.model.name, sha256: verdict.model.sha256 },
    defence: verdict.defence,
  };
}

function label({ index, id, name }: OkVerdict['label']): OkVerdict['label'] {
  return { index, id, name };
}

function durations(ms: Verdict['ms']): Record<string, number> {
  return Object.fromEntries(Object.entries(ms).map(([stage, duration]) => [stage, rounded(duration, 1)]));
}

function rounded(value: number, decimals: number): number {
  // JSON would write null, and the line could not be read back.
  if (!Number.isFinite(value)) throw new DeflectorError('INTERNAL', `A verdict holds the number ${value}`);
  return Number(value.toFixed(decimals)) + 0;
}

const labelShape = { index: z.int().min(0), id: z.string(), name: z.string() };
const share = z.number().min(0).max(1);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const ms = z.record(z.string(), z.number());
const head = { schema: z.literal(VERDICT_SCHEMA), key: z.string() };

const verdictShape = z.discriminatedUnion('status', [
  z.strictObject({
    ...head,
    sha256,
    status: z.literal('ok'),
    label: z.strictObject(labelShape),
    votes: z.array(z.strictObject({ index: z.int().min(0), count: z.int().min(1) })).min(1),
    runs: z.int().min(1),
    runsExecuted: z.int().min(1),
    agreement: share,
    probability: share,
    undefended: z.strictObject({ ...labelShape, probability: share }),
    suspicious: z.boolean(),
    seed: z.string(),
    model: z.strictObject({ name: z.string(), sha256 }),
    defence: z.record(z.string(), z.unknown()),
    ms,
  }),
  z.strictObject({
    ...head,
    sha256: sha256.optional(),
    status: z.literal('error'),
    error: z.strictObject({
      code: z.enum(Object.keys(ERROR_CATALOGUE) as [ErrorCode, ...ErrorCode[]]),
      message: z.string(),
      retryable: z.boolean(),
    }),
    ms,
  }),
]);

/**
 * Reads what `formatVerdict` wrote; nothing else passes.
 *
 * @param where names the line for people: `results.jsonl, line 7`
 * @throws DeflectorError RESULTS_INVALID
 */
export function parseVerdict(line: string, where: string): Verdict {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new DeflectorError('RESULTS_INVALID', `${where} is not JSON`, { cause });
  }
  const result = verdictShape.safeParse(value);
  if (result.success) return result.data as Verdict;
  const { path, message } = result.error.issues[0]!;
  const field = path.length === 0 ? '' : ` (${path.join('.')})`;
  throw new DeflectorError('RESULTS_INVALID', `${where} is no verdict${field}: ${message}`);
}
