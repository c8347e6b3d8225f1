/** What the doctor says of one part of the machine. */

export type Status = 'works' | 'does not work' | 'not configured';

export interface Finding {
  /** Stable, for programs. */
  readonly id: string;
  readonly name: string;
  readonly status: Status;
  /** What was seen. */
  readonly detail: string;
  /** What to do; absent where it works. */
  readonly remedy?: string;
  /** Whether `deflector run` needs it. */
  readonly needed: boolean;
}

/** A part to look at: what it is called, and how to find out. */
export interface Examination {
  readonly id: string;
  readonly name: string;
  readonly needed: boolean;
  /** What to do where `examine` fails. */
  readonly remedy: string;
  /**
   * @returns what was seen of a part that works
   * @throws what is wrong; `NotConfigured` where nobody asked for the part
   */
  examine(): Promise<string>;
}

/** Said of a part that nobody asked for; the message tells how to ask. */
export class NotConfigured extends Error {}

/** @throws never: a failure becomes a finding */
export async function find({ id, name, needed, remedy, examine }: Examination): Promise<Finding> {
  try {
    return { id, name, status: 'works', detail: await examine(), needed };
  } catch (error) {
    if (error instanceof NotConfigured) {
      return { id, name, status: 'not configured', detail: error.message, remedy, needed };
    }
    return { id, name, status: 'does not work', detail: messageOf(error), remedy, needed };
  }
}

/** The message of an error and of its causes, on one line. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = (error.message || error.name).replace(/\s*\n\s*/g, '; ');
  return error.cause === undefined ? message : `${message}: ${messageOf(error.cause)}`;
}
