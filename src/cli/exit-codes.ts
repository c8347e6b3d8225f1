/** Exit codes of every command. Scripts rely on them. */
import { DeflectorError, ERROR_CATALOGUE } from '../errors.js';

export const EXIT = {
  done: 0,
  /** Done, with more error verdicts than `--max-errors`; or the one image of the command cannot be defended. */
  errors: 1,
  /** Bad usage or settings; nothing was done. */
  usage: 2,
  /** A needed service or runtime is not there. */
  service: 3,
  /** Interrupted, and resumable. */
  interrupted: 130,
} as const;

/** The exit code of a command that ended with this error. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof DeflectorError)) return EXIT.errors;
  if (error.code === 'INTERRUPTED') return EXIT.interrupted;
  if (error.code === 'INTERNAL') return EXIT.errors;
  switch (ERROR_CATALOGUE[error.code].kind) {
    case 'usage':
      return EXIT.usage;
    case 'terminal':
      return EXIT.errors;
    case 'service':
    case 'retryable':
      return EXIT.service;
  }
}
