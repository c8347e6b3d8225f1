/** Reads a Parquet file of verdicts with another library than the one that wrote it. */
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { parseVerdict } from '../../src/sinks/verdict-json.js';
import type { Verdict } from '../../src/types.js';

export async function readParquet(bytes: Uint8Array): Promise<Verdict[]> {
  const rows = await parquetReadObjects({ file: new Uint8Array(bytes).buffer });
  // What is null in a row is absent in a verdict; a `null` inside of the defence is its own.
  return rows.map((row, place) => {
    const fields = Object.entries(row).filter(([, value]) => value !== null && value !== undefined);
    return parseVerdict(JSON.stringify(Object.fromEntries(fields)), `row ${place}`);
  });
}

/** Rows of each row group, and the file's own metadata. */
export function describeParquet(bytes: Uint8Array) {
  const { row_groups, key_value_metadata = [], created_by } = parquetMetadata(new Uint8Array(bytes).buffer);
  return {
    groups: row_groups.map(group => Number(group.num_rows)),
    metadata: Object.fromEntries(key_value_metadata.map(({ key, value }) => [key, value])),
    createdBy: created_by,
  };
}
