/**
 * Structured logs: one JSON object a line on standard error, for people where that is a terminal. What belongs to a chunk says
 * so in its fields: stage, job, chunk, trace_id.
 */
import type { Logger } from 'pino';
import type { TraceParent } from '../stages/observer.js';
import { redact } from './redact.js';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields, then what happened: a constant sentence, so that lines can be counted. */
export type Log = Pick<Logger, LogLevel> & { child(fields: Readonly<Record<string, unknown>>): Log };

/** The signal on which a process says more, and on the next one less again. */
const VERBOSE_SIGNAL = 'SIGUSR2';

export interface ProcessLog {
  /** A `Log`, and what the HTTP framework wants beside. */
  readonly log: Logger;
  /** Listens to the signal no more. */
  close(): void;
}

/**
 * The log of this process. Lines are written at once: what a process said last is what one wants to know.
 *
 * @param secrets that no line may hold
 */
export async function openLog(level: LogLevel, secrets: readonly string[]): Promise<ProcessLog> {
  const { default: pino } = await import('pino');
  const stream =
    process.stderr.isTTY === true
      ? (await import('pino-pretty')).default({ destination: 2, sync: true, ignore: 'pid,hostname', singleLine: true })
      : pino.destination({ fd: 2, sync: true });
  const logger = pino(
    {
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      messageKey: 'message',
      hooks: { streamWrite: line => redact(line, secrets) },
    },
    stream,
  );
  const toggle = () => {
    logger.level = logger.level === 'debug' ? level : 'debug';
    logger.info({ log_level: logger.level }, 'Log level changed');
  };
  // Windows has no such signal.
  const signals = process.platform !== 'win32';
  if (signals) process.on(VERBOSE_SIGNAL, toggle);
  return {
    log: logger,
    close: () => {
      if (signals) process.off(VERBOSE_SIGNAL, toggle);
    },
  };
}

/** The fields by which a line and a trace are found by each other, as OpenTelemetry names them. */
export function traceFields(trace: TraceParent | undefined): Readonly<Record<string, string>> {
  const [, trace_id, span_id] = trace?.split('-') ?? [];
  return trace_id === undefined || span_id === undefined ? {} : { trace_id, span_id };
}

/** What may appear in no line: variables that are secret as a whole, and the passwords of addresses. */
export function secretsIn(env: Readonly<Record<string, string | undefined>>, addresses: string): readonly string[] {
  const variables = Object.entries(env).flatMap(([name, value = '']) =>
    /(?:SECRET|PASSWORD|TOKEN)/i.test(name) && !/_FILE$/i.test(name) ? [value] : [],
  );
  const passwords = addresses.split(',').flatMap(address => {
    const { password } = new URL(address);
    return [password, decodeURIComponent(password)];
  });
  return [...new Set([...variables, ...passwords])];
}
