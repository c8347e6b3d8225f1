/** What verdicts and rows are written to: lines that are durable once they are acknowledged. */
import type { Line } from '../storage/lines.js';

/** What to do about results that are there already: the three ways of OUTPUT_EXISTS. */
export type Existing = 'refuse' | 'resume' | 'overwrite';

/**
 * Port: an append-only sequence of lines that becomes a file, for one writer.
 *
 *     open ──append──▶ open ──seal──▶ sealed ──close──▶ closed
 *       └──────────────close────────────────────────────▶
 */
export interface Journal {
  /** The lines that were there when the journal was opened. */
  resumed(maxLineBytes: number): AsyncGenerator<Line, void, undefined>;
  /**
   * Cuts off all but the first lines of those that were there when the journal was opened; to be called before `append`.
   *
   * @returns whether there were that many
   */
  cutBehind(lines: number): Promise<boolean>;
  /**
   * Appends lines; resolves when they are durable. Calls take effect in their order.
   *
   * @param lines without their ends, and without line feeds inside
   * @throws DeflectorError STORE_FULL, STORE_UNAVAILABLE and the other codes of a failed write; every later call fails as well
   */
  append(lines: readonly string[]): Promise<void>;
  /** Makes the file that readers look for, where it is not the journal itself; nothing may be appended any more. */
  seal(): Promise<void>;
  /** The lines of the file; to be called after `seal`. */
  sealed(maxLineBytes: number): AsyncGenerator<Line, void, undefined>;
  /** Waits for what was appended, and lets go. What was not sealed can be resumed. */
  close(): Promise<void>;
}
