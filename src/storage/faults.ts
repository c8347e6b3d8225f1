/** What the operating system's refusals mean in terms of the error catalogue. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DeflectorError, type ErrorCode } from '../errors.js';
import { shorten } from './keys.js';

/** The `code` of a failed system call, `ENOENT` and the like; undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

const READ_FAULTS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOENT: ['IMAGE_NOT_FOUND', 'There is no such file'],
  ENOTDIR: ['IMAGE_NOT_FOUND', 'There is no such file'],
  EISDIR: ['IMAGE_NOT_A_FILE', 'The key names a folder'],
  ELOOP: ['IMAGE_NOT_A_FILE', 'The key names a link that leads to no file'],
  ENXIO: ['IMAGE_NOT_A_FILE', 'The key names a socket or a device'],
  ENODEV: ['IMAGE_NOT_A_FILE', 'The key names a device'],
  EACCES: ['IMAGE_PERMISSION', 'The file may not be read'],
  EPERM: ['IMAGE_PERMISSION', 'The file may not be read'],
  ENAMETOOLONG: ['KEY_INVALID', 'The key is too long for the file system'],
  EINVAL: ['KEY_INVALID', 'The file system refuses the key'],
};

const WRITE_FAULTS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOSPC: ['STORE_FULL', 'There is no space left'],
  EDQUOT: ['STORE_FULL', 'The disk quota is used up'],
  EFBIG: ['STORE_FULL', 'The file would be larger than allowed'],
  ENAMETOOLONG: ['KEY_INVALID', 'The key is too long for the file system'],
  EINVAL: ['KEY_INVALID', 'The file system refuses the key'],
  EISDIR: ['KEY_INVALID', 'The key names a folder'],
  ENOTDIR: ['KEY_INVALID', 'A folder of the key is a file'],
  EEXIST: ['KEY_INVALID', 'A folder of the key is a file'],
};

/** @returns the error to throw when reading `subject` failed; a DeflectorError comes back as it is */
export function readFault(error: unknown, subject: string): DeflectorError {
  return translate(error, subject, READ_FAULTS);
}

/** @returns the error to throw when writing `subject` failed; a DeflectorError comes back as it is */
export function writeFault(error: unknown, subject: string): DeflectorError {
  return translate(error, subject, WRITE_FAULTS);
}

function translate(
  error: unknown,
  subject: string,
  faults: Readonly<Record<string, readonly [ErrorCode, string]>>,
): DeflectorError {
  if (error instanceof DeflectorError) return error;
  const system = systemCode(error);
  if (system === undefined) throw error;
  const [code, text] = faults[system] ?? (['STORE_UNAVAILABLE', `The file system failed with ${system}`] as const);
  return new DeflectorError(code, `${text}: ${JSON.stringify(subject)}`, { cause: error });
}

const DESCRIPTOR_RETRIES = 6;

/** Calls `open` again, waiting 10 ms and then twice as long each time, while the process is out of file descriptors. */
export async function withDescriptor<T>(open: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await open();
    } catch (error) {
      const system = systemCode(error);
      if ((system !== 'EMFILE' && system !== 'ENFILE') || attempt === DESCRIPTOR_RETRIES) throw error;
      await sleep(10 * 2 ** attempt);
    }
  }
}

/** @param size what is known of the size: `N bytes`, or `more than N bytes` */
export function tooLarge(key: string, size: string, maxBytes: number): DeflectorError {
  return new DeflectorError(
    'IMAGE_TOO_MANY_BYTES',
    `Expected at most ${maxBytes} bytes but the file has ${size}: ${JSON.stringify(shorten(key))}`,
  );
}
