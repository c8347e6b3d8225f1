/** One input of a job: what of it is listed, under which keys, and the store that holds it. */
import { basename, extname, type PlatformPath } from 'node:path';
import { DeflectorError } from '../errors.js';
import type { VerdictError } from '../types.js';
import type { AddressedStore } from './store-address.js';

/** What an input may be, for messages. */
export const EXPECTED_INPUT =
  'a folder, a file, a glob, a manifest (.jsonl, .csv, .txt), a shard (.tar), or one of them as s3://bucket/key';

/** Extensions by which the listing of a folder knows images. What a file really is its content tells later. */
const IMAGE_EXTENSIONS: ReadonlySet<string> = new Set([
  '.jpg',
  '.jpeg',
  '.jpe',
  '.jfif',
  '.png',
  '.webp',
  '.avif',
  '.tif',
  '.tiff',
  '.gif',
]);

/** Names without an extension that are no images although other such names may be. */
const NO_IMAGES = /^(?:readme|licen[cs]e|copying|notice|changelog|authors|contributors|makefile|(?:md5|sha\d+)sums)$/i;

/** An opened input. */
export interface Source {
  /** Absolute path of the folder that its keys are relative to; of S3 the bucket and the prefix, as one path. */
  readonly base: string;
  /** How paths are written where it lies. */
  readonly paths: PlatformPath;
  /** Whether it lies in S3: what lies there has no folder in common with what does not. */
  readonly remote: boolean;
  /** Holds what is listed, under the listed keys; sources of one base share one. */
  readonly store: AddressedStore;
  /** @param passedOver is told the key of each file of a folder that is not taken for an image by its name */
  list(passedOver: (key: string) => void): AsyncIterable<Listed>;
  /** Whether the listing gives this path, which is absolute and inside the base; absent where only listing can tell. */
  readonly gives?: (path: string) => boolean;
  /** Set for an input that is a single file. */
  readonly file?: string;
}

export interface Listed {
  readonly key: string;
  readonly error?: VerdictError;
}

/** Which folders below a glob's base can hold a match, told by depth and by leading dots only. */
export function foldersOfGlob(glob: string): (key: string) => boolean {
  const hidden = /(?:^|\/)\./.test(glob);
  // Groups can hold slashes of their own, and `**` any number of folders.
  const depth = /\*\*|[{}()]/.test(glob) ? Number.POSITIVE_INFINITY : glob.split('/').length - 1;
  return key => (hidden || !isHidden(key)) && key.split('/').length <= depth;
}

/** The folders of a key, outermost first. */
export function foldersOf(key: string): string[] {
  const segments = key.split('/').slice(0, -1);
  return segments.map((_, place) => segments.slice(0, place + 1).join('/'));
}

export function isHidden(key: string): boolean {
  return basename(key).startsWith('.');
}

/** Whether the listing of a folder takes a file for an image: by a known extension, or for having none. */
export function isImageName(key: string): boolean {
  if (isHidden(key)) return false;
  const extension = extname(key).toLowerCase();
  return extension === '' ? !NO_IMAGES.test(basename(key)) : IMAGE_EXTENSIONS.has(extension);
}

/** The key of a file: its path relative to a folder above it, with forward slashes. */
export function keyOf(base: string, path: string, paths: PlatformPath): string {
  return paths.relative(base, path).split(paths.sep).join('/');
}

/** Whether a shard of a dataset is packed, which makes its parts unreadable alone. */
export function isPackedShard(path: string): boolean {
  return /\.(?:tgz|tar\.\w+)$/i.test(path);
}

/** Whether a file is a shard of a dataset (WebDataset), which its name tells. */
export function isShard(path: string): boolean {
  return extname(path).toLowerCase() === '.tar';
}

export function notFound(message: string, cause?: unknown): DeflectorError {
  return new DeflectorError('INPUT_NOT_FOUND', message, { cause });
}
