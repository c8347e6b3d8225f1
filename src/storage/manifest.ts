/**
 * Manifests: files that name the images of a job, one a line. `.txt` holds keys, `.csv` a header and rows
 * (RFC 4180), `.jsonl` objects. Keys are relative to the manifest's folder.
 */
import { basename, extname } from 'node:path';
import { CsvError } from 'csv-parse';
import { parse as parseCsv } from 'csv-parse/sync';
import { type DeflectorError, invalid } from '../errors.js';
import type { VerdictError } from '../types.js';
import { checkKey, shorten } from './keys.js';
import { type Line, splitLines } from './lines.js';

/** Fields that can hold the key, in the order in which they are looked for. */
const KEY_FIELDS = ['key', 'file_name', 'image', 'path'] as const;

/** Longest line in bytes. */
const MAX_MANIFEST_LINE_BYTES = 64 * 1024;

/** A quoted field of a table may go on over this many lines. */
const MAX_LINES_A_RECORD = 16;

const BYTE_ORDER_MARK = '\uFEFF';

/** One line of a manifest: a key, or what is wrong with the line. */
export interface ManifestEntry {
  /** For a line that holds no key: the manifest's name and the number of the line, `list.csv:3`. */
  readonly key: string;
  readonly error?: VerdictError;
}

/** What could be made of a line. */
type Record = { readonly line: number } & ({ readonly key: string } | { readonly fault: string });

/** Opens a manifest for reading, from its beginning. */
export type OpenManifest = () => AsyncIterable<Uint8Array>;

type RecordReader = (manifest: Manifest) => AsyncGenerator<Record, void, undefined>;

interface Manifest {
  readonly name: string;
  readonly open: OpenManifest;
}

const READERS: Readonly<{ [extension: string]: RecordReader | undefined }> = {
  '.txt': textRecords,
  '.csv': tableRecords,
  '.jsonl': objectRecords,
};

/** Whether a file is a manifest, which its name tells. */
export function isManifest(path: string): boolean {
  return READERS[extname(path).toLowerCase()] !== undefined;
}

/**
 * Reads a manifest in bounded memory. Bad lines become entries with an error; the rest goes on.
 *
 * @param path only tells the manifest's name
 * @throws DeflectorError SETTINGS_INVALID for a table without a column of keys, and the codes of a failed read
 */
export async function* readManifest(path: string, open: OpenManifest): AsyncGenerator<ManifestEntry, void, undefined> {
  const name = basename(path);
  const reader = READERS[extname(path).toLowerCase()]!;
  for await (const record of reader({ name, open })) {
    if ('fault' in record) {
      const message = `${name}, line ${record.line}: ${record.fault}`;
      yield { key: `${name}:${record.line}`, error: { code: 'MANIFEST_LINE_INVALID', message, retryable: false } };
      continue;
    }
    // `find .` writes keys so.
    const key = record.key.replace(/^(?:\.\/+)+/, '');
    try {
      checkKey(key);
      yield { key };
    } catch (error) {
      const { code, message, retryable } = error as DeflectorError;
      const shown = key === '' ? `${name}:${record.line}` : shorten(key);
      yield { key: shown, error: { code, message: `${name}, line ${record.line}: ${message}`, retryable } };
    }
  }
}

async function* textRecords(manifest: Manifest): AsyncGenerator<Record, void, undefined> {
  for await (const { number, text } of manifestLines(manifest)) {
    yield text === undefined ? tooLong(number) : { line: number, key: text };
  }
}

async function* objectRecords(manifest: Manifest): AsyncGenerator<Record, void, undefined> {
  for await (const { number, text } of manifestLines(manifest)) {
    yield text === undefined ? tooLong(number) : objectRecord(number, text);
  }
}

function objectRecord(line: number, text: string): Record {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { line, fault: 'expected a JSON object' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { line, fault: 'expected a JSON object' };
  }
  const fields = value as { readonly [field: string]: unknown };
  const field = KEY_FIELDS.find(name => Object.hasOwn(fields, name));
  const key = field === undefined ? undefined : fields[field];
  return typeof key === 'string' ? { line, key } : { line, fault: `expected one of ${KEY_FIELDS.join(', ')} as text` };
}

async function* tableRecords(manifest: Manifest): AsyncGenerator<Record, void, undefined> {
  let header: readonly string[] | undefined;
  let column = -1;
  for await (const { line, fields, fault } of rows(manifest)) {
    if (header === undefined) {
      column = KEY_FIELDS.map(name => fields.indexOf(name)).find(place => place >= 0) ?? -1;
      if (column < 0) {
        const expected = `a header with one of ${KEY_FIELDS.join(', ')}`;
        throw invalid(`INPUT ${manifest.name}`, expected, fault ?? fields.join(','));
      }
      header = fields;
    } else if (fault !== undefined) {
      yield { line, fault };
    } else if (fields.length !== header.length) {
      yield { line, fault: `expected ${header.length} fields but found ${fields.length}` };
    } else {
      yield { line, key: fields[column]! };
    }
  }
}

interface Row {
  readonly line: number;
  readonly fields: readonly string[];
  readonly fault?: string;
}

/**
 * The rows of a table. A quoted field may hold line ends; where a quote is never closed, only the line that
 * opened it is bad, and reading goes on with the line behind it.
 */
async function* rows(manifest: Manifest): AsyncGenerator<Row, void, undefined> {
  const lines = manifestLines(manifest);
  const ahead: Line[] = [];
  const lineAt = async (place: number): Promise<Line | undefined> => {
    while (ahead.length <= place) {
      const next = await lines.next();
      if (next.done) return undefined;
      ahead.push(next.value);
    }
    return ahead[place];
  };
  try {
    for (let first = await lineAt(0); first !== undefined; first = await lineAt(0)) {
      const line = first.number;
      let taken = 1;
      let text = first.text;
      let row: Row = text === undefined ? { ...tooLong(line), fields: [] } : parseRow(line, text);
      for (; row.fault === OPEN_QUOTE && taken < MAX_LINES_A_RECORD; taken++) {
        const next = await lineAt(taken);
        if (next?.text === undefined) break;
        text += `\n${next.text}`;
        row = parseRow(line, text!);
      }
      ahead.splice(0, row.fault === undefined ? taken : 1);
      yield row;
    }
  } finally {
    await lines.return();
  }
}

const OPEN_QUOTE = 'a quote is not closed';

function parseRow(line: number, text: string): Row {
  try {
    const [fields = []] = parseCsv(text, { relax_column_count: true }) as string[][];
    return { line, fields };
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const fault = error.code === 'CSV_QUOTE_NOT_CLOSED' ? OPEN_QUOTE : 'a quote stands where none may';
    return { line, fields: [], fault };
  }
}

function tooLong(line: number): { line: number; fault: string } {
  return { line, fault: `expected at most ${MAX_MANIFEST_LINE_BYTES} bytes` };
}

/** The lines of a manifest that are not blank, without a byte order mark and carriage returns at their ends. */
async function* manifestLines({ open }: Manifest): AsyncGenerator<Line, void, undefined> {
  for await (const line of splitLines(open(), MAX_MANIFEST_LINE_BYTES)) {
    let text = line.text;
    if (text !== undefined) {
      if (line.number === 1 && text.startsWith(BYTE_ORDER_MARK)) text = text.slice(1);
      if (text.endsWith('\r')) text = text.slice(0, -1);
      if (text.trim() === '') continue;
    }
    yield { ...line, text };
  }
}
