/** What the refusals of an S3 server mean in terms of the error catalogue. */
import { DeflectorError, type ErrorCode } from '../errors.js';
import { systemCode } from './faults.js';
import { shorten } from './keys.js';

/** What was being done: a refusal to read an object belongs to the image, any other to the job. */
export type S3Action = 'read' | 'list' | 'write';

/** The parts of a client's error that tell what happened. */
interface ServiceError {
  readonly name?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const NO_OBJECT = new Set(['NoSuchKey', 'NotFound', 'NoSuchVersion']);
const NO_BUCKET = new Set([
  'NoSuchBucket',
  'InvalidBucketName',
  'PermanentRedirect',
  'IllegalLocationConstraintException',
]);
const REFUSED = new Set(['AccessDenied', 'AllAccessDisabled', 'AccountProblem', 'InvalidObjectState', 'Forbidden']);
/** Credentials that are wrong, missing or no longer valid; the last is versitygw's. */
const UNKNOWN_CALLER = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'TokenRefreshRequired',
  'AuthorizationHeaderMalformed',
  'RequestTimeTooSkewed',
  'CredentialsProviderError',
  'XAdminUserNotFound',
]);
/** The names that AWS, MinIO, Ceph and others give to one and the same cause. */
const NO_ROOM = new Set([
  'QuotaExceeded',
  'XMinioStorageFull',
  'XMinioAdminBucketQuotaExceeded',
  'InsufficientCapacity',
  'InsufficientStorage',
  'ServiceQuotaExceeded',
  'EntityTooLarge',
]);

/** Whether a conditional request found its condition unmet. */
export function isConditionUnmet(error: unknown): boolean {
  const { name, $metadata } = error as ServiceError;
  // 409: another write of the same key was under way.
  return name === 'PreconditionFailed' || $metadata?.httpStatusCode === 412 || name === 'ConditionalRequestConflict';
}

/** Whether a range began behind the end of its object. */
export function isBehindEnd(error: unknown): boolean {
  return (error as ServiceError).name === 'InvalidRange' || (error as ServiceError).$metadata?.httpStatusCode === 416;
}

/** Whether a body came whole but is not what its checksum says. The client has no name for it, only these words. */
export function isDamaged(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('Checksum mismatch');
}

/**
 * @param subject the key or the address that the request was for; never a secret
 * @returns the error to throw; a DeflectorError comes back as it is. What the server says in words is left to `cause`:
 *   it may name accounts, and would make error verdicts differ from server to server.
 */
export function s3Fault(error: unknown, subject: string, action: S3Action): DeflectorError {
  if (error instanceof DeflectorError) return error;
  const { name = '', message = '', $metadata } = error as ServiceError;
  const status = $metadata?.httpStatusCode;
  const about = (code: ErrorCode, text: string) =>
    new DeflectorError(code, `${text}: ${JSON.stringify(shorten(subject))}`, { cause: error });
  if (UNKNOWN_CALLER.has(name)) return about('STORE_DENIED', `The credentials for S3 do not hold (${name})`);
  if (NO_BUCKET.has(name)) return about('STORE_NOT_FOUND', `There is no such bucket (${name})`);
  if (NO_ROOM.has(name) || status === 507) return about('STORE_FULL', `There is no space left (${name})`);
  if (name === 'KeyTooLongError') return about('KEY_INVALID', 'The key is too long for the store');
  if (NO_OBJECT.has(name) || (action === 'read' && status === 404)) {
    return about('IMAGE_NOT_FOUND', 'There is no such file');
  }
  if (REFUSED.has(name) || status === 401 || status === 403) {
    if (action === 'read') return about('IMAGE_PERMISSION', 'The file may not be read');
    return about('STORE_DENIED', `These credentials may not ${action} here (${name || status})`);
  }
  if (message === 'Region is missing') {
    return new DeflectorError('SETTINGS_INVALID', 'Expected a region for --s3-region but received none', {
      cause: error,
    });
  }
  const network = systemCode(error) ?? (name === 'TimeoutError' ? name : undefined);
  if (status === undefined) {
    if (network === undefined) return new DeflectorError('INTERNAL', message, { cause: error });
    return about('STORE_UNREACHABLE', `The S3 server does not answer (${network})`);
  }
  return about('STORE_UNAVAILABLE', `The S3 server fails with ${name === '' ? status : `${name} (${status})`}`);
}
