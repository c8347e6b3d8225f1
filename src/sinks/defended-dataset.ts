/**
 * Defended images as a dataset, in one of two forms.
 *
 * `files`: a folder that mirrors that of the input, with a `metadata.jsonl` that the imagefolder loader of Hugging Face
 * Datasets reads (a row an image, found by `file_name`).
 *
 *     defended/cats/1.jpg.png, defended/metadata.jsonl, defended/README.md
 *
 * `shards`: WebDataset archives. An image waits in a file of its own until all verdicts are there; then the archives are
 * made from them, one after another. A shard holds the images of so many places of the input, fewer where some failed.
 *
 *     defended/shard-000000.tar    000000012.png, 000000012.json ...: the image and its row, by its place in the input
 *     defended/metadata.jsonl, defended/README.md
 *     defended.parts/0000/00000012.png    only until the shards are made
 */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { DeflectorError } from '../errors.js';
import { isThere } from '../storage/is-there.js';
import { formatTar, type TarFile } from '../storage/tar-writer.js';
import type { ObjectStore, OkVerdict, Verdict } from '../types.js';
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

/** Largest image that is read back into a shard, in bytes: what a buffer can hold. */
const MAX_PNG_BYTES = 2 ** 31 - 1;

/** How a dataset lies in its store. */
export type DatasetForm = { readonly kind: 'files' } | { readonly kind: 'shards'; readonly size: number };

/** The form as the settings of a job have it. */
export function datasetForm(settings: {
  readonly emitForm: DatasetForm['kind'];
  readonly shardSize: number;
}): DatasetForm {
  return settings.emitForm === 'files' ? { kind: 'files' } : { kind: 'shards', size: settings.shardSize };
}

/** Where a dataset goes: the images to be found, and those that wait for their shard. */
export interface DatasetPlaces {
  readonly dataset: Destination;
  readonly parts: Destination;
}

/** The folders of a job's dataset. */
export const DATASET_FOLDERS = Object.freeze({ dataset: 'defended', parts: 'defended.parts' });

export function datasetPlaces(out: Destination): DatasetPlaces {
  return { dataset: out.folder(DATASET_FOLDERS.dataset), parts: out.folder(DATASET_FOLDERS.parts) };
}

/**
 * Names the files of the dataset to the loader. Without it, folders that are called `train` or `test` would be
 * taken for splits, and the one `metadata.jsonl` beside them be passed over.
 */
function cardOf(form: DatasetForm): string {
  const [paths, rows] =
    form.kind === 'files'
      ? [[METADATA, '**/*.png'], `Each row of \`${METADATA}\` names a defended image (\`file_name\`)`]
      : [['shard-*.tar'], `Each row of \`${METADATA}\`, as each \`.json\` of a shard, names a defended image`];
  return `---
configs:
- config_name: default
  data_files:
  - split: train
    path:
${paths.map(path => `    - ${/[*]/.test(path) ? `"${path}"` : path}`).join('\n')}
---

# Defended images

Images defended by Deflector. ${rows}, the image it was made
from (\`key\`, \`sha256\`) and the verdict on it. In Python:

    from datasets import load_dataset
    dataset = load_dataset("path/of/this/folder")
`;
}

/** A defended image with the verdict on it. */
export interface DefendedImage {
  readonly verdict: OkVerdict;
  /** Place of the image in the input, from 0. */
  readonly position: number;
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

/** Where an image goes first, from the job's own folder. */
export function defendedPath(form: DatasetForm, key: string, position: number): string {
  return form.kind === 'files'
    ? `${DATASET_FOLDERS.dataset}/${defendedName(key)}`
    : `${DATASET_FOLDERS.parts}/${partName(position)}`;
}

/** Writes defended images in the order of input. An image is acknowledged when it and its row are durable. */
export class DefendedDataset {
  readonly #places: DatasetPlaces;
  readonly #form: DatasetForm;
  readonly #metadata: Journal;

  private constructor(places: DatasetPlaces, form: DatasetForm, metadata: Journal) {
    this.#places = places;
    this.#form = form;
    this.#metadata = metadata;
  }

  /**
   * Opens the dataset for one writer. `overwrite` removes the images that the old `metadata.jsonl` names, and nothing else.
   *
   * @throws DeflectorError OUTPUT_EXISTS, OUTPUT_LOCKED, RESUME_MISMATCH (fewer rows than acknowledged),
   *   STORE_FULL, STORE_UNAVAILABLE
   */
  static async open(places: DatasetPlaces, form: DatasetForm, options: ExistingDataset): Promise<DefendedDataset> {
    const { dataset } = places;
    // The old rows are still needed where the images they name are to be removed.
    const metadata = await dataset.journal(METADATA, options.existing === 'refuse' ? 'refuse' : 'resume');
    try {
      if (options.existing === 'overwrite') await removeImages(places, metadata);
      const rows = options.existing === 'resume' ? options.rows : 0;
      if (!(await metadata.cutBehind(rows))) {
        throw new DeflectorError(
          'RESUME_MISMATCH',
          `Expected at least ${rows} rows in ${dataset.place(METADATA)} but found fewer`,
        );
      }
      await writeCard(dataset.store, form);
      return new DefendedDataset(places, form, metadata);
    } catch (error) {
      await metadata.close();
      throw error;
    }
  }

  /** Resolves when images and rows are durable. @throws DeflectorError STORE_FULL, STORE_UNAVAILABLE, KEY_INVALID */
  async write(images: readonly DefendedImage[]): Promise<void> {
    for (let start = 0; start < images.length; start += WRITES_AT_ONCE) {
      const group = images.slice(start, start + WRITES_AT_ONCE);
      await Promise.all(group.map(image => this.#writeImage(image)));
    }
    await this.#metadata.append(images.map(({ verdict, position }) => row(verdict, position, this.#form)));
  }

  #writeImage({ verdict: { key }, position, png }: DefendedImage): Promise<void> {
    const { dataset, parts } = this.#places;
    return this.#form.kind === 'files'
      ? dataset.store.write(defendedName(key), png)
      : parts.store.write(partName(position), png);
  }

  /** All images are there: makes `metadata.jsonl` whole, where it is not yet. */
  seal(): Promise<void> {
    return this.#metadata.seal();
  }

  close(): Promise<void> {
    return this.#metadata.close();
  }
}

/** Writes `metadata.jsonl` and the card of images that others wrote. @param verdicts all of the job, in the order of input */
export async function describeDataset(
  { dataset }: DatasetPlaces,
  form: DatasetForm,
  verdicts: AsyncIterable<Verdict>,
): Promise<void> {
  await writeCard(dataset.store, form);
  await dataset.store.writeStream(METADATA, rows(verdicts, form));
}

async function* rows(verdicts: AsyncIterable<Verdict>, form: DatasetForm): AsyncGenerator<Uint8Array, void, undefined> {
  let position = 0;
  for await (const verdict of verdicts) {
    if (verdict.status === 'ok') yield Buffer.from(`${row(verdict, position, form)}\n`);
    position++;
  }
}

/**
 * Makes the shards from the images that wait for them, and removes these. Called again after it was interrupted, it goes
 * on: an archive is there whole or not at all, and the first of its images goes first.
 *
 * @param verdicts all of the job, in the order of input
 * @throws DeflectorError RESULTS_INVALID where an image is missing whose verdict is there; what the stores throw
 */
export async function writeShards(
  { dataset, parts }: DatasetPlaces,
  size: number,
  verdicts: AsyncIterable<Verdict>,
): Promise<void> {
  for await (const images of inShards(verdicts, size)) {
    const [first] = images;
    if (first === undefined) continue;
    const name = shardName(first.position, size);
    if (await isThere(parts.store, partName(first.position))) {
      await dataset.store.writeStream(name, formatTar(members(parts.store, images, size)));
    } else if (!(await isThere(dataset.store, name))) {
      throw new DeflectorError('RESULTS_INVALID', `The images of ${dataset.place(name)} are gone`);
    }
    const names = images.map(({ position }) => partName(position));
    await parts.store.delete(names[0]!);
    await parts.removeAll(names);
  }
}

/** The images of one shard after another. */
async function* inShards(
  verdicts: AsyncIterable<Verdict>,
  size: number,
): AsyncGenerator<{ readonly verdict: OkVerdict; readonly position: number }[], void, undefined> {
  let shard: { readonly verdict: OkVerdict; readonly position: number }[] = [];
  let position = 0;
  for await (const verdict of verdicts) {
    if (verdict.status === 'ok') shard.push({ verdict, position });
    position++;
    if (position % size > 0) continue;
    yield shard;
    shard = [];
  }
  yield shard;
}

async function* members(
  parts: ObjectStore,
  images: readonly { readonly verdict: OkVerdict; readonly position: number }[],
  size: number,
): AsyncGenerator<TarFile, void, undefined> {
  for (const { verdict, position } of images) {
    yield { name: memberName(position), bytes: await parts.read(partName(position), MAX_PNG_BYTES) };
    const text = row(verdict, position, { kind: 'shards', size });
    yield { name: memberName(position).replace(/png$/, 'json'), bytes: Buffer.from(text) };
  }
}

function partName(position: number): string {
  const digits = String(position).padStart(8, '0');
  return `${digits.slice(0, -4)}/${digits}.png`;
}

function shardName(position: number, size: number): string {
  return `shard-${String(Math.floor(position / size)).padStart(6, '0')}.tar`;
}

/** Loaders take what stands before the first dot for the name of the sample. */
function memberName(position: number): string {
  return `${String(position).padStart(9, '0')}.png`;
}

/** Writes the card; one that somebody else wrote stays. */
async function writeCard(store: ObjectStore, form: DatasetForm): Promise<void> {
  try {
    const there = Buffer.from(await store.read('README.md', 16 * 1024)).toString();
    const forms: readonly DatasetForm[] = [{ kind: 'files' }, { kind: 'shards', size: 1 }];
    if (!forms.some(one => cardOf(one) === there)) return;
  } catch (error) {
    if (error instanceof DeflectorError && error.code === 'IMAGE_TOO_MANY_BYTES') return;
    if (!(error instanceof DeflectorError) || error.code !== 'IMAGE_NOT_FOUND') throw error;
  }
  await store.write('README.md', Buffer.from(cardOf(form)));
}

/** One row: flat, because tables of that kind hold columns. */
function row(verdict: OkVerdict, position: number, form: DatasetForm): string {
  // Rounded as in the results, so that the two never differ.
  const { key, sha256, label, agreement, probability, undefended, suspicious } = JSON.parse(
    formatVerdict(verdict),
  ) as OkVerdict;
  return JSON.stringify({
    ...(form.kind === 'files'
      ? { file_name: defendedName(key) }
      : { file_name: memberName(position), shard: shardName(position, form.size) }),
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

async function removeImages({ dataset, parts }: DatasetPlaces, metadata: Journal): Promise<void> {
  let removed: string | undefined;
  for await (const { text } of metadata.resumed(MAX_ROW_BYTES)) {
    const { file, shard } = filesOf(text ?? '');
    if (file === undefined) continue;
    if (shard === undefined) await dataset.store.delete(file);
    else await parts.store.delete(partName(Number.parseInt(file, 10)));
    if (shard !== undefined && shard !== removed) await dataset.store.delete(shard);
    removed = shard;
  }
}

/** The file that a row speaks of, and the shard that holds it; nothing of what is no row. */
function filesOf(row: string): { file?: string; shard?: string } {
  try {
    const { file_name: file, shard } = JSON.parse(row) as { file_name?: unknown; shard?: unknown };
    if (typeof file !== 'string') return {};
    if (shard === undefined) return { file };
    return typeof shard === 'string' && /^\d+\.png$/.test(file) ? { file, shard } : {};
  } catch {
    return {};
  }
}
