/**
 * The catalogue of errors. Every fault that a user can meet has one stable code here; scripts and
 * dashboards rely on the codes, people on the message and the remedy.
 *
 * `terminal` faults belong to the input and come back the same every time: they become error verdicts.
 * `retryable` faults belong to the surroundings (store, queue, model runtime) and may pass.
 * `usage` faults are the caller's: they end the command with exit code 2 before any work.
 * `service` faults mean that a needed service or runtime is not there: exit code 3.
 */
export const ERROR_CATALOGUE = {
  SETTINGS_INVALID: { kind: 'usage', remedy: 'Correct the setting that the message names.' },
  COMMAND_INVALID: { kind: 'usage', remedy: 'See `deflector --help` and `deflector COMMAND --help`.' },
  INPUT_NOT_FOUND: { kind: 'usage', remedy: 'Check the path; quote a glob so that the shell leaves it alone.' },
  OUTPUT_EXISTS: {
    kind: 'usage',
    remedy: 'Choose another --out, or go on with --resume, or start over with --overwrite.',
  },
  OUTPUT_LOCKED: {
    kind: 'usage',
    remedy: 'Another process writes to this folder; wait for it or choose another --out.',
  },
  RESUME_MISMATCH: {
    kind: 'usage',
    remedy: 'Resume with the settings, model and inputs that the job began with, or start over with --overwrite.',
  },
  IMAGE_EMPTY: { kind: 'terminal', remedy: 'The file has no bytes; upload it again.' },
  IMAGE_TRUNCATED: { kind: 'terminal', remedy: 'The file ends before its pixels do; upload it again.' },
  IMAGE_CORRUPT: { kind: 'terminal', remedy: 'The file cannot be decoded; make it again from its source.' },
  IMAGE_UNSUPPORTED: { kind: 'terminal', remedy: 'Convert to JPEG, PNG, WebP, AVIF, TIFF or GIF.' },
  IMAGE_TOO_MANY_BYTES: { kind: 'terminal', remedy: 'Reduce the file or raise --max-bytes.' },
  IMAGE_TOO_MANY_PIXELS: { kind: 'terminal', remedy: 'Reduce the image or raise --max-pixels.' },
  IMAGE_TIMEOUT: { kind: 'terminal', remedy: 'The image took longer than --image-timeout; look at the file.' },
  IMAGE_NOT_FOUND: { kind: 'terminal', remedy: 'The file went away after it was listed; run again if it is back.' },
  IMAGE_NOT_A_FILE: { kind: 'terminal', remedy: 'The key names a folder, a device or a dangling link.' },
  IMAGE_PERMISSION: { kind: 'terminal', remedy: 'Grant read permission on the file.' },
  IMAGE_LINK_OUTSIDE: {
    kind: 'terminal',
    remedy: 'The link leads out of the input; copy the file into it, or allow such links with --follow-links.',
  },
  KEY_INVALID: { kind: 'terminal', remedy: 'Keys are relative, without "..", NUL or an absolute path.' },
  MANIFEST_LINE_INVALID: { kind: 'terminal', remedy: 'Correct the line of the manifest that the message names.' },
  SHARD_INVALID: { kind: 'terminal', remedy: 'The archive is cut off, damaged or no tar; make it again.' },
  DEADLINE_PASSED: {
    kind: 'terminal',
    remedy: "The job's --deadline passed first; enqueue what is left as a job with a later one, or start more workers.",
  },
  LABEL_UNKNOWN: {
    kind: 'terminal',
    remedy: "Name the class by its WordNet id, its name or its index, as the model's config.json does.",
  },
  RESULTS_INVALID: {
    kind: 'usage',
    remedy: 'The file holds no verdicts of Deflector, or was changed by hand; make it again.',
  },
  MODEL_NOT_FOUND: { kind: 'usage', remedy: 'See `deflector models list`, or add one with `deflector models add`.' },
  MODEL_INVALID: { kind: 'usage', remedy: 'Run `deflector models check NAME`; add the model again from its source.' },
  MODEL_DIGEST_MISMATCH: {
    kind: 'usage',
    remedy: 'The model file is not the one that was added; add it again from its source.',
  },
  MODEL_UNSUPPORTED: { kind: 'usage', remedy: 'The message names what the model lacks and the option that helps.' },
  MODEL_NO_LOCALIZATION: {
    kind: 'usage',
    remedy: 'Name a model with global pooling by --localizer NAME, or use --map uniform.',
  },
  CATALOGUE_INVALID: {
    kind: 'usage',
    remedy: 'Take the catalogue of this version, or name the key of who signed your own by --catalogue-key FILE.',
  },
  DOWNLOAD_FAILED: {
    kind: 'service',
    remedy:
      'Check the network, then call again: what has come is kept. Without a way out use --mirror URL or --offline.',
  },
  RUNTIME_UNAVAILABLE: {
    kind: 'service',
    remedy: 'Run `deflector doctor` to see which runtimes work here and why not.',
  },
  INFERENCE_FAILED: { kind: 'retryable', remedy: 'The runtime failed on a batch; see the cause.' },
  STORE_NOT_FOUND: { kind: 'usage', remedy: 'Check the name of the bucket and its region, or make the bucket.' },
  STORE_DENIED: {
    kind: 'usage',
    remedy: 'Check the credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE ...) and what they allow; see docs/storage.md.',
  },
  STORE_UNREACHABLE: {
    kind: 'retryable',
    remedy:
      'Check the network and --s3-endpoint (`deflector doctor` tries it), then go on: `run` with --resume, `enqueue` by the same call.',
  },
  STORE_UNAVAILABLE: { kind: 'retryable', remedy: 'Check that the store is reachable and the credentials are right.' },
  STORE_FULL: {
    kind: 'retryable',
    remedy: 'Free space at the destination, then go on: `run` with --resume, `enqueue` by the same call.',
  },
  QUEUE_UNAVAILABLE: {
    kind: 'service',
    remedy: 'Check --redis-url, that Redis runs there, and the name and password in the address.',
  },
  QUEUE_UNSUITABLE: { kind: 'service', remedy: 'Change the configuration of Redis as the message says.' },
  JOB_NOT_FOUND: { kind: 'usage', remedy: 'See `deflector jobs list`.' },
  JOB_MISMATCH: {
    kind: 'usage',
    remedy: 'Go on with the settings, model and inputs that the job began with, or choose another --job.',
  },
  JOB_UNFINISHED: {
    kind: 'usage',
    remedy: 'Wait for the job with `deflector jobs wait`, or see `deflector jobs dead`.',
  },
  JOB_CLEANED: { kind: 'usage', remedy: 'Its chunks were removed on request; enqueue the images as a new job.' },
  PACK_INVALID: {
    kind: 'retryable',
    remedy: 'The chunk is fetched again by itself; where it comes again and again, look at the store of the job.',
  },
  WORKER_UNFIT: {
    kind: 'retryable',
    remedy: 'Give this worker the model and the folders that the job names; other workers go on meanwhile.',
  },
  WORKER_LOST: { kind: 'retryable', remedy: 'A worker thread ended unexpectedly; see the cause.' },
  SINK_REFUSED: {
    kind: 'usage',
    remedy: 'Mend the destination of --sink that the message names, then deliver again with `deflector jobs retry`.',
  },
  REQUEST_INVALID: { kind: 'usage', remedy: 'Correct the request; /openapi.json says what it may hold.' },
  REQUEST_TOO_LARGE: { kind: 'usage', remedy: 'Send less at a time, or raise --max-bytes for images.' },
  REQUEST_FOREIGN: {
    kind: 'usage',
    remedy: 'Call from the same origin; without tokens the gateway answers to names of this machine only.',
  },
  MEDIA_TYPE_UNSUPPORTED: { kind: 'usage', remedy: 'Send one of the types that /openapi.json lists for this path.' },
  UNAUTHENTICATED: { kind: 'usage', remedy: 'Send a token of --tokens, or a signature with a secret of --hmac-keys.' },
  ROUTE_NOT_FOUND: { kind: 'usage', remedy: 'See /openapi.json for paths and methods.' },
  VERDICT_NOT_FOUND: { kind: 'usage', remedy: 'Ask with an id that the gateway gave out.' },
  IDEMPOTENCY_MISMATCH: { kind: 'usage', remedy: 'Take another Idempotency-Key for another request.' },
  IDEMPOTENCY_PENDING: { kind: 'retryable', remedy: 'The first request with this key is under way; ask again later.' },
  RATE_LIMITED: { kind: 'retryable', remedy: 'Wait as long as Retry-After says, or raise --rate.' },
  OVERLOADED: { kind: 'retryable', remedy: 'Wait as long as Retry-After says; more workers drain queues faster.' },
  DEADLINE_EXCEEDED: { kind: 'retryable', remedy: 'Ask for fewer runs, allow more time, or add threads.' },
  INTERRUPTED: { kind: 'retryable', remedy: 'Go on with --resume.' },
  INTERNAL: { kind: 'retryable', remedy: 'This is a defect of Deflector; please report it with the message.' },
} as const satisfies Record<string, { kind: 'usage' | 'terminal' | 'retryable' | 'service'; remedy: string }>;

/** A stable error code. */
export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** The only error class that Deflector throws on purpose; `code` is stable, `message` is for people. */
export class DeflectorError extends Error {
  override readonly name = 'DeflectorError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  /** Whether the same call may succeed later without a change of input. */
  get retryable(): boolean {
    return ERROR_CATALOGUE[this.code].kind === 'retryable';
  }

  /** What a person can do about it. */
  get remedy(): string {
    return ERROR_CATALOGUE[this.code].remedy;
  }
}

/**
 * The one grammar for a bad argument: what was expected, for which parameter, what came.
 *
 * @throws never; it returns the error to throw
 */
export function invalid(parameter: string, expected: string, received: unknown): DeflectorError {
  return new DeflectorError(
    'SETTINGS_INVALID',
    `Expected ${expected} for ${parameter} but received ${describe(received)}`,
  );
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
  if (value === null || value === undefined || typeof value !== 'object') return String(value);
  return Array.isArray(value) ? `a list of ${value.length}` : `a ${value.constructor?.name ?? 'object'}`;
}
