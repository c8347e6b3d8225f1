/**
 * Defended images as a dataset: a folder that mirrors that of the input, with a `metadata.jsonl` that the
 * imagefolder loader of Hugging Face Datasets reads (a row an image, found by `file_name`).
 */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { DeflectorError } from '../errors.js';
import type { ObjectStore, OkVerdict } from '../types.js';
import type { Destination } from './destination.js';
import type { Existing, Journal } from './journal.js';
import { formatVerdict } from './verdict-json.js';

/** Longest row of `metadata.jsonl` in bytes. */
const MAX_ROW_BYTES = 64 * 1024;

/** Longest name of a file in bytes, on the file systems of Linux, macOS and Windows alike. */
const MAX_NAME_BYTES = 255;

/** Images that are written at once. */
const WRITES_AT_ONCE = 4;

const METADATA = 'metadata.jsonl';

/**
 * Names the files of the dataset to the loader. Without it, folders that are called `train` or `test` would be
 * taken for splits, and the one `metadata.jsonl` beside them be passed over.
 */
const CARD = `---
configs:
- config_name: default
  data_files:
  - split: train
    path:
    - ${METADATA}
    - "**/*.png"
---

# Defended images

Images defended by Deflector. Each row of \`${METADATA}\` names a defended image (\`file_name\`), the image it was made
from (\`key\`, \`sha256\`) and the verdict on it. In Python:

    from datasets import load_dataset
    dataset = load_dataset("path/of/this/folder")
`;

/** A defended image with the verdict on it. */
export interface DefendedImage {
  readonly verdict: OkVerdict;
  /** The image as PNG. */
  readonly png: Uint8Array;
}

/** What to do about a dataset that is there already. */
export type ExistingDataset =
  | { readonly existing: Exclude<Existing, 'resume'> }
  /** `rows`: how many images the journal of the job (`results.jsonl`) acknowledges; what lies behind them is redone. */
  | { readonly existing: 'resume'; readonly rows: number };

/**
 * The name of a defended image: the key, with `.png` behind it unless it has that ending already, so that
 * `cats/1.jpg` becomes `cats/1.jpg.png` and `cats/1.png` keeps its name.
 *
 * No two keys share a name, whatever comes beside them: a PNG that looks like the result of another
 * (`1.jpg.png`) gets a second `.png`, and a key without a known extension gets `.image.png`. A name too long for
 * a file system is shortened and told apart by the first 16 digits of the key's SHA-256.
 */
export function defendedName(key: string): string {
  const known = /\.(?:jpe?g|jpe|jfif|png|webp|avif|tiff?|gif)$/i;
  let name: string;
  if (!known.test(key)) name = `${key}.image.png`;
  else if (key.endsWith('.png') && !known.test(key.slice(0, -4)) && !key.endsWith('.image.png')) name = key;
  else name = `${key}.png`;
  const file = posix.basename(name);
  if (Buffer.byteLength(file) <= MAX_NAME_BYTES) return name;
  const mark = `~${createHash('sha256').update(key).digest('hex').slice(0, 16)}.png`;
  let short = '';
  let room = MAX_NAME_BYTES - mark.length;
  for (const character of file) {
    room -= Buffer.byteLength(character);
    if (room < 0) break;
    short += character;
  }
  return name.slice(0, name.length - file.length) + short + mark;
}

/** Writes defended images in the order of input. An image is acknowledged when it and its row are durable. */
export class DefendedDataset {
  readonly #store: ObjectStore;
  readonly #metadata: Journal;

  private constructor(store: ObjectStore, metadata: Journal) {
    this.#store = store;
    this.#metadata = metadata;
  }

  /**
   * Opens the dataset for one writer. `overwrite` removes the images that the old `metadata.jsonl` names, and nothing else.
   *
   * @throws DeflectorError OUTPUT_EXISTS, OUTPUT_LOCKED, RESUME_MISMATCH (fewer rows than acknowledged),
   *   STORE_FULL, STORE_UNAVAILABLE
   */
  static async open(destination: Destination, options: ExistingDataset): Promise<DefendedDataset> {
    const { store } = destination;
    // The old rows are still needed where the images they name are to be removed.
    const metadata = await destination.journal(METADATA, options.existing === 'refuse' ? 'refuse' : 'resume');
    try {
      if (options.existing === 'overwrite') await removeImages(store, metadata);
      const rows = options.existing === 'resume' ? options.rows : 0;
      if (!(await metadata.cutBehind(rows))) {
        throw new DeflectorError(
          'RESUME_MISMATCH',
          `Expected at least ${rows} rows in ${destination.place(METADATA)} but found fewer`,
        );
      }
      await writeCard(store);
      return new DefendedDataset(store, metadata);
    } catch (error) {
      await metadata.close();
      throw error;
    }
  }

  /** Resolves when images and rows are durable. @throws DeflectorError STORE_FULL, STORE_UNAVAILABLE, KEY_INVALID */
  async write(images: readonly DefendedImage[]): Promise<void> {
    for (let start = 0; start < images.length; start += WRITES_AT_ONCE) {
      const group = images.slice(start, start + WRITES_AT_ONCE);
      await Promise.all(group.map(({ verdict, png }) => this.#store.write(defendedName(verdict.key), png)));
    }
    await this.#metadata.append(images.map(({ verdict }) => row(verdict)));
  }

  /** All images are there: makes `metadata.jsonl` whole, where it is not yet. */
  seal(): Promise<void> {
    return this.#metadata.seal();
  }

  close(): Promise<void> {
    return this.#metadata.close();
  }
}

async function writeCard(store: ObjectStore): Promise<void> {
  try {
    await store.read('README.md', 0);
  } catch (error) {
    // One that is there stays, whoever wrote it.
    if (error instanceof DeflectorError && error.code === 'IMAGE_TOO_MANY_BYTES') return;
    await store.write('README.md', new TextEncoder().encode(CARD));
  }
}

/** One row: flat, because tables of that kind hold columns. */
function row(verdict: OkVerdict): string {
  // Rounded as in the results, so that the two never differ.
  const { key, sha256, label, agreement, probability, undefended, suspicious } = JSON.parse(
    formatVerdict(verdict),
  ) as OkVerdict;
  return JSON.stringify({
    file_name: defendedName(key),
    key,
    sha256,
    label: label.index,
    label_id: label.id,
    label_name: label.name,
    agreement,
    probability,
    undefended_label: undefended.index,
    undefended_label_name: undefended.name,
    undefended_probability: undefended.probability,
    suspicious,
  });
}

async function removeImages(store: ObjectStore, metadata: Journal): Promise<void> {
  for await (const { text } of metadata.resumed(MAX_ROW_BYTES)) {
    const name = text === undefined ? undefined : fileNameOf(text);
    if (name !== undefined) await store.delete(name);
  }
}

function fileNameOf(row: string): string | undefined {
  try {
    const { file_name: name } = JSON.parse(row) as { file_name?: unknown };
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}
