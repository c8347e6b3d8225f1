/**
 * Adversarial images that were made elsewhere: PNG or other image files, or .npy arrays.
 *
 *     DIR/manifest.json    entries { file, attack, classIndex, params? }; `clean` is the attack of originals; or, without one,
 *     DIR/ATTACK/CLASS.png, DIR/ATTACK/CLASS/any.png    a folder an attack, the class by WordNet id, name or index
 *
 * An image of the model's input size is taken as it is; any other goes through the model's preprocessing. The original of an
 * image is the one of attack `clean` with the same path below its attack's folder.
 */
import { basename, dirname, extname, join } from 'node:path';
import { z } from 'zod';
import { trueLabels } from '../attacks/true-labels.js';
import { DeflectorError } from '../errors.js';
import { decodeImage } from '../images/decode.js';
import { decodeNpyImage } from '../images/npy.js';
import { preprocess } from '../images/preprocess.js';
import type { Model } from '../models/model.js';
import { FileSystemStore } from '../storage/filesystem-store.js';
import type { RgbImage } from '../types.js';

export interface ExternalImage {
  /** Below the folder. */
  readonly key: string;
  /** At the model's input size. */
  readonly pixels: RgbImage;
  /** The true class. */
  readonly label: number;
  /** Before it was attacked, where that is at hand. */
  readonly original: RgbImage | undefined;
}

export interface ExternalAttack {
  readonly name: string;
  /** As its maker describes them; empty where nobody does. */
  readonly parameters: string;
  readonly images: readonly ExternalImage[];
}

const manifestSchema = z.object({
  entries: z.array(
    z.object({
      file: z.string().min(1),
      attack: z.string().min(1),
      classIndex: z.number().int().nonnegative(),
      params: z.string().optional(),
    }),
  ),
});

type ManifestEntry = z.infer<typeof manifestSchema>['entries'][number];

const MANIFEST = 'manifest.json';
const ARRAY = '.npy';
const IMAGE_ENDINGS = new Set(['.png', '.jpg', '.jpeg', '.webp', '.avif', '.tif', '.tiff', '.gif', ARRAY]);

export interface ExternalLimits {
  readonly maxBytes: number;
  readonly maxPixels: number;
  readonly imageTimeout: number;
}

/**
 * Reads all of them; attacks in the order of their names, `clean` first.
 *
 * @throws DeflectorError INPUT_NOT_FOUND where there is none, LABEL_UNKNOWN, IMAGE_*
 */
export async function readExternalImages(
  folder: string,
  model: Model,
  limits: ExternalLimits,
): Promise<readonly ExternalAttack[]> {
  const store = new FileSystemStore(folder);
  const entries = await entriesOf(store, model, limits);
  const read = async (file: string): Promise<RgbImage> => {
    const bytes = await store.read(file, limits.maxBytes);
    const { maxBytes, maxPixels, imageTimeout } = limits;
    const image =
      extname(file).toLowerCase() === ARRAY
        ? decodeNpyImage(bytes)
        : await decodeImage(bytes, { maxBytes, maxPixels, timeoutSeconds: imageTimeout });
    const { width, height } = model.preprocessing;
    return image.width === width && image.height === height ? image : preprocess(image, model.preprocessing);
  };
  const originals = new Map<string, RgbImage>();
  for (const { file, attack } of entries) if (attack === 'clean') originals.set(within(file), await read(file));
  const attacks = new Map<string, { parameters: string; images: ExternalImage[] }>();
  for (const { file, attack, classIndex, params } of entries) {
    const own = originals.get(within(file));
    const pixels = attack === 'clean' ? own! : await read(file);
    const group = attacks.get(attack) ?? { parameters: params ?? '', images: [] };
    attacks.set(attack, group);
    if (model.labels[classIndex] === undefined) {
      throw new DeflectorError('LABEL_UNKNOWN', `The model has no class ${classIndex}, which ${file} is said to be`);
    }
    group.images.push({ key: file, pixels, label: classIndex, original: own });
  }
  if (attacks.size === 0) throw new DeflectorError('INPUT_NOT_FOUND', `There are no attacked images in ${folder}`);
  const rank = (name: string) => (name === 'clean' ? '' : name);
  return [...attacks]
    .sort(([a], [b]) => (rank(a) < rank(b) ? -1 : 1))
    .map(([name, { parameters, images }]) => ({ name, parameters, images }));
}

/** The path of an image below its attack's folder, without its ending: the same for an original and what was made of it. */
function within(file: string): string {
  const path = file.split('/').slice(1).join('/');
  return path.slice(0, path.length - extname(path).length);
}

async function entriesOf(store: FileSystemStore, model: Model, limits: ExternalLimits): Promise<ManifestEntry[]> {
  let text: string;
  try {
    text = Buffer.from(await store.read(MANIFEST, limits.maxBytes)).toString();
  } catch (error) {
    if (!(error instanceof DeflectorError) || error.code !== 'IMAGE_NOT_FOUND') throw error;
    return listed(store, model);
  }
  try {
    return manifestSchema.parse(JSON.parse(text)).entries;
  } catch (cause) {
    const message = `${join(store.url, MANIFEST)} does not list entries with file, attack and classIndex`;
    throw new DeflectorError('MANIFEST_LINE_INVALID', message, { cause });
  }
}

async function listed(store: FileSystemStore, model: Model): Promise<ManifestEntry[]> {
  const classOf = await trueLabels('folder', model.labels);
  const entries: ManifestEntry[] = [];
  for await (const { key } of store.list()) {
    const parts = key.split('/');
    if (!IMAGE_ENDINGS.has(extname(key).toLowerCase()) || parts.length < 2) continue;
    const stem = basename(key).slice(0, basename(key).length - extname(key).length);
    const named = parts.length === 2 ? stem : basename(dirname(key));
    entries.push({ file: key, attack: parts[0]!, classIndex: classOf(`${named}/image`)! });
  }
  return entries;
}
