/** Errors as HTTP answers: problem details (RFC 9457) with the stable code of the catalogue. */
import { STATUS_CODES } from 'node:http';
import { DeflectorError, ERROR_CATALOGUE, type ErrorCode } from '../errors.js';

export const PROBLEM_TYPE = 'application/problem+json';

export interface Problem {
  /** `urn:deflector:error:` and the code. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  /** What can be done about it. */
  readonly remedy: string;
}

/** Codes whose status does not follow from their kind. */
const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  UNAUTHENTICATED: 401,
  REQUEST_FOREIGN: 403,
  STORE_DENIED: 403,
  JOB_NOT_FOUND: 404,
  ROUTE_NOT_FOUND: 404,
  VERDICT_NOT_FOUND: 404,
  IDEMPOTENCY_PENDING: 409,
  REQUEST_TOO_LARGE: 413,
  IMAGE_TOO_MANY_BYTES: 413,
  MEDIA_TYPE_UNSUPPORTED: 415,
  IDEMPOTENCY_MISMATCH: 422,
  RATE_LIMITED: 429,
  OVERLOADED: 429,
  INTERNAL: 500,
  DEADLINE_EXCEEDED: 504,
};

const STATUS_OF_KIND = { usage: 400, terminal: 422, retryable: 503, service: 503 } as const;

/** Seconds after which trying again is worth it, by status. */
const RETRY_AFTER: Readonly<Record<number, number>> = { 409: 1, 429: 1, 503: 5 };

function statusOf(code: ErrorCode): number {
  return STATUS[code] ?? STATUS_OF_KIND[ERROR_CATALOGUE[code].kind];
}

/** An error as an answer. What is no fault of the caller's is not told in words that might hold more than he should know. */
export function problemOf(error: DeflectorError): Problem {
  const { code, remedy } = error;
  const status = statusOf(code);
  const words = code.toLowerCase().replaceAll('_', ' ');
  return {
    type: `urn:deflector:error:${code}`,
    title: `${words[0]!.toUpperCase()}${words.slice(1)}`,
    status,
    detail: status >= 500 && code !== 'DEADLINE_EXCEEDED' ? `${STATUS_CODES[status]}` : error.message,
    code,
    remedy,
  };
}

/** The value of Retry-After, in seconds, where a status asks for it. */
export function retryAfter(status: number): number | undefined {
  return RETRY_AFTER[status];
}

/** Errors of the HTTP framework in terms of the catalogue. Anything unknown is a defect of the gateway's own. */
export function asGatewayError(error: unknown): DeflectorError {
  if (error instanceof DeflectorError) return error;
  const { statusCode, message } = error as { statusCode?: number; message?: string };
  const words = message ?? 'The request cannot be read';
  switch (statusCode) {
    case 404:
    case 405:
      return new DeflectorError('ROUTE_NOT_FOUND', words, { cause: error });
    case 413:
      return new DeflectorError('REQUEST_TOO_LARGE', words, { cause: error });
    case 415:
      return new DeflectorError('MEDIA_TYPE_UNSUPPORTED', words, { cause: error });
  }
  const own = statusCode === undefined || statusCode >= 500;
  return new DeflectorError(own ? 'INTERNAL' : 'REQUEST_INVALID', words, { cause: error });
}
