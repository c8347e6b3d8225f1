/** A folder as an object store. */
import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, opendir, realpath, rename, rm, unlink } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DeflectorError } from '../errors.js';
import type { ConditionalStore, ObjectEntry } from '../types.js';
import { readFault, systemCode, tooLarge, withDescriptor, writeFault } from './faults.js';
import { checkKey, decodeName, shorten, TEMPORARY_PREFIX, textOf } from './keys.js';
import { SortedNames } from './sorted-names.js';
import type { AddressedStore, StoreAddress } from './store-address.js';

export interface FileSystemStoreOptions {
  /**
   * Where symbolic links to files may lead: `inside` the root only (the default), or `anywhere`.
   * Links to folders are never entered, so that no listing can go round in a circle.
   */
  readonly links?: 'inside' | 'anywhere';
  /** Names of one folder that a listing holds in memory; more are sorted on the disk. Default 50,000. */
  readonly namesInMemory?: number;
}

/** Entries that one call of the system hands over while a folder is read. */
const ENTRIES_A_READ = 256;

/** Bytes that one call of the system hands over while a file is streamed. */
const BYTES_A_READ = 256 * 1024;

/** Marks behind a sorted name. No name holds a slash, so they cannot be mistaken for a part of it. */
const FOLDER = '/';
const NOT_UTF8 = '//';

/** One folder on the way of a walk. */
interface Level {
  /** Key of the folder with a slash behind it, or empty for the root. */
  readonly prefix: string;
  readonly names: SortedNames;
  readonly sorted: AsyncIterator<string>;
}

/**
 * A folder as an object store: an image key is the path of a file relative to the root.
 *
 * A listing shows all files, whatever their name, but for the temporary files of `write`. Names are taken as
 * UTF-8; a name that is not is listed with its bad bytes as `\xNN` and the error KEY_INVALID, as is a folder
 * that may not be read, by its key with a slash behind it and the error IMAGE_PERMISSION. A link to a folder
 * is listed as an entry of its own, and reading it gives IMAGE_NOT_A_FILE.
 */
export class FileSystemStore implements ConditionalStore, AddressedStore {
  readonly url: string;
  readonly address: StoreAddress;
  readonly #root: string;
  readonly #linksAnywhere: boolean;
  readonly #namesInMemory: number | undefined;
  #realRoot: Promise<string> | undefined;

  /** @param root path of the folder; `write` makes it where it is missing */
  constructor(root: string, options: FileSystemStoreOptions = {}) {
    this.#root = resolve(root);
    this.#linksAnywhere = options.links === 'anywhere';
    this.#namesInMemory = options.namesInMemory;
    this.url = pathToFileURL(this.#root).href;
    this.address = { url: this.url, links: options.links ?? 'inside', prefix: '' };
  }

  list(prefix = ''): AsyncGenerator<ObjectEntry, void, undefined> {
    return this.walk(prefix, () => true);
  }

  /**
   * Lists as `list` does, but only enters the folders that the caller wants.
   *
   * @param prefix what every key begins with; not necessarily a whole segment
   * @param enter decides by the key of a folder, without a slash behind it
   * @throws DeflectorError STORE_UNAVAILABLE, STORE_FULL (no room for sorting), KEY_INVALID
   */
  async *walk(prefix: string, enter: (folder: string) => boolean): AsyncGenerator<ObjectEntry, void, undefined> {
    const start = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    if (start !== '') {
      checkKey(start.slice(0, -1));
      if (await this.#isBehindLink(start)) return;
    }
    const levels: Level[] = [];
    try {
      const top = await this.#open(start, prefix.slice(start.length));
      if (!('prefix' in top)) yield* top;
      else levels.push(top);
      for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
        const next = await level.sorted.next();
        if (next.done) {
          levels.pop();
          await level.names.close();
        } else if (next.value.endsWith(NOT_UTF8)) {
          const key = level.prefix + textOf(next.value.slice(0, -NOT_UTF8.length));
          yield failed(key, new DeflectorError('KEY_INVALID', `The name is not UTF-8: ${JSON.stringify(key)}`));
        } else if (next.value.endsWith(FOLDER)) {
          const folder = level.prefix + textOf(next.value);
          if (!enter(folder.slice(0, -1))) continue;
          const below = await this.#open(folder, '');
          if ('prefix' in below) levels.push(below);
          else yield* below;
        } else {
          yield { key: level.prefix + textOf(next.value), size: undefined };
        }
      }
    } finally {
      for (const level of levels) await level.names.close();
    }
  }

  /** Whether a folder is reached by a link, which a listing never enters. */
  async #isBehindLink(folder: string): Promise<boolean> {
    const real = await realpath(join(this.#root, folder)).catch(() => undefined);
    return real !== undefined && real !== resolve(await this.#real(), folder);
  }

  /** Reads the names of a folder. Gives entries in place of a level where there is none to walk through. */
  async #open(prefix: string, beginning: string): Promise<Level | ObjectEntry[]> {
    const names = new SortedNames(this.#namesInMemory);
    const wanted = Buffer.from(beginning).toString('latin1');
    try {
      const folder = await withDescriptor(() =>
        // The types know no buffers here; the system's bytes are needed to tell names that are not UTF-8.
        opendir(join(this.#root, prefix), { encoding: 'buffer' as BufferEncoding, bufferSize: ENTRIES_A_READ }),
      );
      for await (const entry of folder) {
        const { bytes, valid } = decodeName(entry.name as unknown as Buffer);
        if (!bytes.startsWith(wanted) || bytes.startsWith(TEMPORARY_PREFIX)) continue;
        if (names.full) await names.spill();
        names.add(!valid ? bytes + NOT_UTF8 : entry.isDirectory() ? bytes + FOLDER : bytes);
      }
      return { prefix, names, sorted: names.sorted() };
    } catch (error) {
      await names.close();
      const system = systemCode(error);
      if (prefix !== '') {
        // A folder that goes away while its parent is walked is no more than a folder that was never there.
        if (system === 'ENOENT' || system === 'ENOTDIR') return [];
        if (system === 'EACCES' || system === 'EPERM' || system === 'ENAMETOOLONG') {
          const fault =
            system === 'ENAMETOOLONG'
              ? new DeflectorError('KEY_INVALID', `The folder's path is too long: ${JSON.stringify(shorten(prefix))}`)
              : new DeflectorError('IMAGE_PERMISSION', `The folder may not be listed: ${JSON.stringify(prefix)}`);
          return [failed(prefix, fault)];
        }
      }
      if (error instanceof DeflectorError) throw error;
      throw new DeflectorError(
        'STORE_UNAVAILABLE',
        `The folder cannot be listed (${system ?? String(error)}): ${JSON.stringify(join(this.#root, prefix))}`,
        { cause: error },
      );
    }
  }

  async read(key: string, maxBytes: number): Promise<Uint8Array> {
    return this.#reading(key, file => readWhole(file, key, maxBytes));
  }

  async readRange(key: string, start: number, end: number): Promise<Uint8Array> {
    return this.#reading(key, async file => {
      const { size } = await regular(file, key);
      const buffer = Buffer.allocUnsafeSlow(Math.max(0, Math.min(end, size) - start));
      let length = 0;
      while (length < buffer.length) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length, start + length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return buffer.subarray(0, length);
    });
  }

  async *stream(key: string): AsyncGenerator<Uint8Array, void, undefined> {
    const file = await this.#openFile(key);
    try {
      await regular(file, key);
      for (;;) {
        const buffer = Buffer.allocUnsafeSlow(BYTES_A_READ);
        const { bytesRead } = await file.read(buffer, 0, buffer.length);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } catch (error) {
      throw readFault(error, key);
    } finally {
      await file.close();
    }
  }

  async #reading<T>(key: string, read: (file: FileHandle) => Promise<T>): Promise<T> {
    const file = await this.#openFile(key);
    try {
      return await read(file);
    } catch (error) {
      throw readFault(error, key);
    } finally {
      await file.close();
    }
  }

  async #openFile(key: string): Promise<FileHandle> {
    checkKey(key);
    try {
      const path = await this.#follow(key);
      // Opened without waiting, a pipe gives no hold; opened without following, no link can step in meanwhile.
      const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0);
      return await withDescriptor(() => open(path, flags));
    } catch (error) {
      throw readFault(error, key);
    }
  }

  /** The path of a key with all links followed. @throws DeflectorError IMAGE_LINK_OUTSIDE, IMAGE_NOT_A_FILE */
  async #follow(key: string): Promise<string> {
    const path = join(this.#root, key);
    let real: string;
    try {
      real = await realpath(path);
    } catch (error) {
      const code = systemCode(error);
      if (code === 'ENOENT' && (await lstatOrUndefined(path))?.isSymbolicLink()) {
        throw new DeflectorError('IMAGE_NOT_A_FILE', `The link leads nowhere: ${JSON.stringify(key)}`, {
          cause: error,
        });
      }
      throw error;
    }
    if (!this.#linksAnywhere && !isInside(real, await this.#real())) {
      throw new DeflectorError('IMAGE_LINK_OUTSIDE', `The link leads out of the folder: ${JSON.stringify(key)}`);
    }
    // Opening a device can have effects of its own (a tape rewinds), so it is looked at first.
    refuseSpecial(await lstat(real), key);
    return real;
  }

  #real(): Promise<string> {
    this.#realRoot ??= realpath(this.#root).catch(error => {
      this.#realRoot = undefined;
      throw error;
    });
    return this.#realRoot;
  }

  async write(key: string, bytes: Uint8Array): Promise<void> {
    await this.#writing(key, file => file.writeFile(bytes));
  }

  async writeStream(key: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#writing(key, async file => {
      for await (const piece of pieces) await file.writeFile(piece);
    });
  }

  async create(key: string, bytes: Uint8Array): Promise<boolean> {
    // A link to a name that is there fails, where renaming would replace it.
    if (await this.#writing(key, file => file.writeFile(bytes), linkNew)) return true;
    const there = await this.read(key, bytes.length).catch((error: unknown) => {
      if (error instanceof DeflectorError && error.code === 'IMAGE_TOO_MANY_BYTES') return undefined;
      throw error;
    });
    return there !== undefined && Buffer.compare(there, bytes) === 0;
  }

  /** @returns what `place` says of whether the object is the one that was written */
  async #writing(
    key: string,
    fill: (file: FileHandle) => Promise<void>,
    place: (temporary: string, path: string) => Promise<boolean> = replace,
  ): Promise<boolean> {
    checkKey(key);
    const path = join(this.#root, key);
    const folder = dirname(path);
    const temporary = join(folder, `${TEMPORARY_PREFIX}${randomBytes(8).toString('hex')}`);
    try {
      await this.#makeFolder(folder, key);
      const file = await withDescriptor(() => open(temporary, 'wx', 0o666));
      try {
        await fill(file);
        await file.sync();
      } finally {
        await file.close();
      }
      const placed = await place(temporary, path);
      await syncFolder(folder);
      return placed;
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw writeFault(error, key);
    }
  }

  /** Makes the folder of a key, having seen that what is there of it lies inside the root. */
  async #makeFolder(folder: string, key: string): Promise<void> {
    if (folder !== this.#root) {
      await mkdir(this.#root, { recursive: true });
      for (let existing = folder; ; existing = dirname(existing)) {
        const real = await realpath(existing).catch(error => {
          if (systemCode(error) === 'ENOENT') return undefined;
          throw error;
        });
        if (real === undefined) continue;
        if (!isInside(real, await this.#real())) {
          throw new DeflectorError('KEY_INVALID', `A link in the key leads out of the folder: ${JSON.stringify(key)}`);
        }
        break;
      }
    }
    await mkdir(folder, { recursive: true });
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    const path = join(this.#root, key);
    try {
      if (!isInside(await realpath(dirname(path)), await this.#real())) {
        throw new DeflectorError('KEY_INVALID', `A link in the key leads out of the folder: ${JSON.stringify(key)}`);
      }
      await unlink(path);
    } catch (error) {
      const system = systemCode(error);
      if (system !== 'ENOENT' && system !== 'ENOTDIR') throw writeFault(error, key);
    }
  }

  async deleteAll(keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.delete(key);
  }
}

async function replace(temporary: string, path: string): Promise<boolean> {
  await rename(temporary, path);
  return true;
}

async function linkNew(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

function failed(key: string, error: DeflectorError): ObjectEntry {
  return { key, size: undefined, error: { code: error.code, message: error.message, retryable: error.retryable } };
}

function isInside(path: string, root: string): boolean {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && resolve(root, way) === path;
}

async function lstatOrUndefined(path: string): Promise<Stats | undefined> {
  return lstat(path).catch(() => undefined);
}

function refuseSpecial(stats: Stats, key: string): void {
  if (stats.isFile()) return;
  const kind = stats.isDirectory()
    ? 'a folder'
    : stats.isFIFO()
      ? 'a pipe'
      : stats.isSocket()
        ? 'a socket'
        : 'a device';
  throw new DeflectorError('IMAGE_NOT_A_FILE', `The key names ${kind}: ${JSON.stringify(shorten(key))}`);
}

/** @throws DeflectorError IMAGE_NOT_A_FILE for an open folder, pipe or device */
async function regular(file: FileHandle, key: string): Promise<Stats> {
  const stats = await file.stat();
  refuseSpecial(stats, key);
  return stats;
}

/** Reads an open file of at most `maxBytes`; the size that the system tells is a hint, the limit holds for what is read. */
async function readWhole(file: FileHandle, key: string, maxBytes: number): Promise<Uint8Array> {
  const stats = await regular(file, key);
  if (stats.size > maxBytes) throw tooLarge(key, `${stats.size} bytes`, maxBytes);
  // One byte more than is expected, so that the end of the file shows in the same read.
  let buffer = Buffer.allocUnsafeSlow(Math.min(stats.size, maxBytes) + 1);
  let length = 0;
  for (;;) {
    if (length > maxBytes) throw tooLarge(key, `more than ${maxBytes} bytes`, maxBytes);
    if (length === buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(2 * length, 64 * 1024), maxBytes + 1));
      buffer.copy(larger);
      buffer = larger;
    }
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
  }
}

/** Makes a new name in a folder durable, on systems where a folder can be synced. */
export async function syncFolder(folder: string): Promise<void> {
  if (sep === '\\') return;
  const handle = await withDescriptor(() => open(folder, constants.O_RDONLY));
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Removes what writes into a folder left half done when their process was killed. For a folder that nobody else writes to.
 *
 * @param recursive also in the folders below
 * @throws DeflectorError STORE_UNAVAILABLE
 */
export async function removePartialWrites(folder: string, recursive: boolean): Promise<void> {
  try {
    for await (const entry of await opendir(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && recursive) await removePartialWrites(path, recursive);
      else if (entry.isFile() && entry.name.startsWith(TEMPORARY_PREFIX)) await rm(path);
    }
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw writeFault(error, folder);
  }
}
