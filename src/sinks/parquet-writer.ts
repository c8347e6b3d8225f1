/** Verdicts as a Parquet file (Snappy, see parquet-schema.ts), written row group by row group in bounded memory. */
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import type { Verdict } from '../types.js';
import { VERSION } from '../version.js';
import { PARQUET_COLUMNS, PARQUET_ELEMENTS, PARQUET_SCHEMA, rowOf } from './parquet-schema.js';

/** Rows that are in memory together: some 1 KB each. Readers skip and share out work by row groups. */
const ROWS_A_GROUP = 10_000;

/**
 * The bytes of a Parquet file, in pieces of one row group each. Equal verdicts give equal bytes.
 *
 * @param verdicts read once, in the order of the rows
 * @throws DeflectorError INTERNAL for a verdict with a number that is not finite; what `verdicts` throws
 */
export async function* formatParquet(
  verdicts: AsyncIterable<Verdict> | Iterable<Verdict>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const writer = new ByteWriter();
  const file = new ParquetWriter({
    writer,
    schema: PARQUET_ELEMENTS,
    kvMetadata: [{ ...PARQUET_SCHEMA }],
    createdBy: `deflector ${VERSION}`,
  });
  let rows: ReturnType<typeof rowOf>[] = [];
  for await (const verdict of verdicts) {
    rows.push(rowOf(verdict));
    if (rows.length < ROWS_A_GROUP) continue;
    writeGroup(file, rows);
    rows = [];
    yield taken(writer);
  }
  if (rows.length > 0) writeGroup(file, rows);
  void file.finish();
  yield taken(writer);
}

function writeGroup(file: ParquetWriter, rows: readonly ReturnType<typeof rowOf>[]): void {
  const columnData = PARQUET_COLUMNS.map(name => ({ name, data: rows.map(row => row[name]) }));
  // A writer in memory never makes it wait.
  void file.write({ columnData, rowGroupSize: rows.length });
}

/** What was written since it was asked last; offsets in the file go on from there. */
function taken(writer: ByteWriter): Uint8Array {
  const bytes = writer.getBytes().slice();
  writer.index = 0;
  return bytes;
}
