/** What every stage shares. */
import { DeflectorError } from '../errors.js';
import type { VerdictError } from '../types.js';

/** Port: monotonic time in milliseconds. Only durations are ever taken from it. */
export interface Clock {
  now(): number;
}

/** The clock of the process. */
export const systemClock: Clock = { now: () => performance.now() };

/** Any thrown value as the error part of a verdict. What is no DeflectorError is a defect and says so. */
export function toVerdictError(error: unknown): VerdictError {
  if (error instanceof DeflectorError) {
    return { code: error.code, message: error.message, retryable: error.retryable };
  }
  return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error), retryable: true };
}
