/** What a ladder has done, in a folder: one file of JSON lines for each cell, by which it goes on where it was left. */
import { appendFile, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFault } from '../../storage/faults.js';
import type { LadderResult } from './ladder-result.js';
import { LADDER_SCHEMA } from './ladder-result.js';

const ENDING = '.jsonl';

export class ResultStore {
  readonly #folder: string | undefined;
  /** By cell, then by the hash of the clean image. */
  readonly #results = new Map<string, Map<string, LadderResult>>();

  private constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  /**
   * @param folder made where it is not there; `undefined` keeps results in memory alone
   * @throws DeflectorError STORE_UNAVAILABLE, STORE_FULL
   */
  static async open(folder: string | undefined): Promise<ResultStore> {
    const store = new ResultStore(folder);
    if (folder === undefined) return store;
    try {
      await mkdir(folder, { recursive: true });
      const names = (await readdir(folder)).filter(name => name.endsWith(ENDING)).sort();
      for (const name of names) store.#read(name.slice(0, -ENDING.length), await readFile(join(folder, name), 'utf8'));
    } catch (error) {
      throw writeFault(error, folder);
    }
    return store;
  }

  find(cell: string, sha256: string): LadderResult | undefined {
    return this.#results.get(cell)?.get(sha256);
  }

  /** @throws DeflectorError STORE_UNAVAILABLE, STORE_FULL */
  async keep(cell: string, result: LadderResult): Promise<void> {
    this.#add(cell, result);
    if (this.#folder === undefined) return;
    try {
      // A line feed first as well: behind a line that a crash cut off, this one still begins a line.
      await appendFile(join(this.#folder, `${cell}${ENDING}`), `\n${JSON.stringify(result)}\n`);
    } catch (error) {
      throw writeFault(error, this.#folder);
    }
  }

  #read(cell: string, text: string): void {
    for (const line of text.split('\n')) {
      const result = parse(line);
      if (result?.schema === LADDER_SCHEMA) this.#add(cell, result);
    }
  }

  #add(cell: string, result: LadderResult): void {
    const results = this.#results.get(cell) ?? new Map<string, LadderResult>();
    this.#results.set(cell, results.set(result.sha256, result));
  }
}

/** @returns `undefined` for what is no whole line, as a crash leaves it */
function parse(line: string): LadderResult | undefined {
  if (line === '') return undefined;
  try {
    return JSON.parse(line) as LadderResult;
  } catch {
    return undefined;
  }
}
