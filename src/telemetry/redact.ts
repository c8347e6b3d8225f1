/** Takes secrets out of what is about to be written. */

const MARK = '[redacted]';

/** A value that short may be part of any word. */
const LEAST_LENGTH = 6;

/** User and password of an address, up to the last @ before its path. */
const USER_INFO = /([a-z][a-z0-9+.-]*:\/\/)[^\s"'<>/]*@/gi;

/** Passwords of Redis are typed as they are, slashes and all: up to the last @ of the word. */
const REDIS_USER_INFO = /(rediss?:\/\/)[^\s"']*@/gi;

/** What gives access by being known: parameters of presigned addresses, and of headers. */
const PARAMETERS =
  /([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|[\w-]*(?:token|secret|password|signature))=)[^\s"'&]+/gi;
const HEADERS =
  /(\b(?:authorization|proxy-authorization)\b\\?["']?\s*[:=]\s*\\?["']?)(?:(?:bearer|basic)\s+)?[^\s"'\\,]+/gi;

/** Keys of JSON whose values are secret. */
const FIELDS =
  /("(?:[\w-]*(?:password|secret|token)|secretAccessKey|sessionToken|accessKeyId)":\s*)"(?:[^"\\]|\\.)*"/gi;

/**
 * @param text a line of JSON, or any text
 * @param secrets values that may not appear at all
 */
export function redact(text: string, secrets: readonly string[] = []): string {
  let clean = text
    .replace(REDIS_USER_INFO, `$1${MARK}@`)
    .replace(USER_INFO, `$1${MARK}@`)
    .replace(PARAMETERS, `$1${MARK}`)
    .replace(HEADERS, `$1${MARK}`)
    .replace(FIELDS, `$1"${MARK}"`);
  for (const secret of secrets) {
    if (secret.length < LEAST_LENGTH) continue;
    clean = clean.replaceAll(secret, MARK).replaceAll(JSON.stringify(secret).slice(1, -1), MARK);
  }
  return clean;
}
