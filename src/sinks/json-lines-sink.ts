/** `results.jsonl`: one verdict a line, in the order of input, and its own journal. */
import { basename } from 'node:path';
import { DeflectorError } from '../errors.js';
import { type Line, readLines } from '../storage/lines.js';
import type { ResultSink, Verdict } from '../types.js';
import type { Existing, Journal } from './journal.js';
import { LineJournal } from './line-journal.js';
import { formatVerdict, MAX_VERDICT_BYTES, parseVerdict } from './verdict-json.js';

/** Verdicts as lines of a journal. A verdict is acknowledged when its line is durable. */
export class JsonLinesSink implements ResultSink {
  readonly #name: string;
  readonly #journal: Journal;

  /** @param name of the file, for messages */
  constructor(name: string, journal: Journal) {
    this.#name = name;
    this.#journal = journal;
  }

  /**
   * The verdicts that an interrupted job left, in the order of input: the caller compares their keys with the
   * listing and goes on behind them. Empty after `overwrite` and for a new file.
   *
   * @throws DeflectorError RESULTS_INVALID
   */
  async *resumed(): AsyncGenerator<Verdict, void, undefined> {
    for await (const line of this.#journal.resumed(MAX_VERDICT_BYTES)) yield verdictOf(line, this.#name);
  }

  /** @throws DeflectorError STORE_FULL, STORE_UNAVAILABLE; the file then ends with the last acknowledged verdict */
  async write(verdicts: readonly Verdict[]): Promise<void> {
    await this.#journal.append(verdicts.map(formatVerdict));
  }

  /** All verdicts are there: makes the file that readers look for. */
  seal(): Promise<void> {
    return this.#journal.seal();
  }

  /** The verdicts of the finished file, each line a whole one; to be called after `seal`. @throws DeflectorError RESULTS_INVALID */
  async *verdicts(): AsyncGenerator<Verdict, void, undefined> {
    for await (const line of this.#journal.sealed(MAX_VERDICT_BYTES)) yield verdictOf(line, this.#name);
  }

  close(): Promise<void> {
    return this.#journal.close();
  }
}

/**
 * Opens a results file for one writer; `PATH.lock` keeps others out.
 *
 * @throws DeflectorError OUTPUT_EXISTS, OUTPUT_LOCKED, STORE_FULL, STORE_UNAVAILABLE
 */
export async function openJsonLinesSink(path: string, options: { existing: Existing }): Promise<JsonLinesSink> {
  return new JsonLinesSink(basename(path), await LineJournal.open(path, options.existing));
}

/**
 * Reads a finished results file. Every line must be a whole verdict.
 *
 * @throws DeflectorError RESULTS_INVALID, and the codes of a failed read
 */
export async function* readVerdicts(path: string): AsyncGenerator<Verdict, void, undefined> {
  for await (const line of readLines(path, MAX_VERDICT_BYTES)) yield verdictOf(line, basename(path));
}

function verdictOf(line: Line, name: string): Verdict {
  const where = `${name}, line ${line.number},`;
  if (line.text === undefined) {
    throw new DeflectorError('RESULTS_INVALID', `${where} is longer than ${MAX_VERDICT_BYTES} bytes`);
  }
  if (!line.complete) throw new DeflectorError('RESULTS_INVALID', `${where} was cut off`);
  return parseVerdict(line.text, where);
}
