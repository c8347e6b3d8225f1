/**
 * Whether a process is alive, and whether it is ready for work. Whoever has something to say adds a check.
 *
 * Live: its event loop answers and its threads make progress. A process that is not should be started again.
 * Ready: what it needs is there, and it takes work. A process that is not should be waited for.
 */

/** @returns why not, as a clause; `undefined` where all is well */
export type Check = () => string | undefined | Promise<string | undefined>;

export interface HealthReport {
  readonly ok: boolean;
  /** `ok`, or why not, by the name of the check. */
  readonly checks: Readonly<Record<string, string>>;
}

/** Milliseconds that a check may take. */
const PATIENCE_MS = 2000;

export class Health {
  readonly #live = new Map<string, Check>();
  readonly #ready = new Map<string, Check>();

  /** @returns takes the check back */
  addLiveness(name: string, check: Check): () => void {
    return add(this.#live, name, check);
  }

  /** @returns takes the check back */
  addReadiness(name: string, check: Check): () => void {
    return add(this.#ready, name, check);
  }

  liveness(): Promise<HealthReport> {
    return report(this.#live);
  }

  readiness(): Promise<HealthReport> {
    return report(this.#ready);
  }
}

function add(checks: Map<string, Check>, name: string, check: Check): () => void {
  checks.set(name, check);
  return () => {
    if (checks.get(name) === check) checks.delete(name);
  };
}

async function report(checks: ReadonlyMap<string, Check>): Promise<HealthReport> {
  const answers = await Promise.all(
    [...checks].map(async ([name, check]) => [name, (await asked(check)) ?? 'ok'] as const),
  );
  return { ok: answers.every(([, answer]) => answer === 'ok'), checks: Object.fromEntries(answers) };
}

async function asked(check: Check): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>(resolve => {
    timer = setTimeout(() => resolve(`no answer within ${PATIENCE_MS / 1000} s`), PATIENCE_MS);
  });
  try {
    return await Promise.race([check(), late]);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    clearTimeout(timer);
  }
}
