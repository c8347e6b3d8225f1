/**
 * Verdicts as objects, one a chunk, named by where they come from: delivered again they replace themselves.
 *
 *     JOB.ID/00000012.jsonl      lines as in results.jsonl
 *     JOB.ID/00000012.parquet    rows, see parquet-schema.ts
 */
import type { ObjectStore, ResultSink, Verdict, VerdictOrigin } from '../types.js';
import { InOrder } from './in-order.js';
import { formatParquet } from './parquet-writer.js';
import { formatVerdict } from './verdict-json.js';

export type ObjectFormat = 'jsonl' | 'parquet';

const ENCODERS: Readonly<Record<ObjectFormat, (verdicts: readonly Verdict[]) => Promise<Uint8Array>>> = {
  jsonl: async verdicts => Buffer.from(verdicts.map(verdict => `${formatVerdict(verdict)}\n`).join('')),
  parquet: async verdicts => {
    const pieces: Uint8Array[] = [];
    for await (const piece of formatParquet(verdicts)) pieces.push(piece);
    return Buffer.concat(pieces);
  },
};

export class ObjectSink implements ResultSink {
  readonly #store: ObjectStore;
  readonly #format: ObjectFormat;
  readonly #order = new InOrder();

  constructor(store: ObjectStore, format: ObjectFormat) {
    this.#store = store;
    this.#format = format;
  }

  /** @throws DeflectorError STORE_* */
  write(verdicts: readonly Verdict[], { job, id, chunk }: VerdictOrigin): Promise<void> {
    return this.#order.run(async () => {
      if (verdicts.length === 0) return;
      const name = `${job}.${id}/${String(chunk).padStart(8, '0')}.${this.#format}`;
      await this.#store.write(name, await ENCODERS[this.#format](verdicts));
    });
  }

  close(): Promise<void> {
    return this.#order.settled();
  }
}
