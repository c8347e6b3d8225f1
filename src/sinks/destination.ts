/** Where the files of a job go: a folder, or what lies below a prefix in S3. */
import { rmdir, stat } from 'node:fs/promises';
import { join, posix, resolve } from 'node:path';
import { invalid } from '../errors.js';
import { systemCode } from '../storage/faults.js';
import { FileSystemStore, removePartialWrites } from '../storage/filesystem-store.js';
import { asFolder, formatS3Address, isS3Address, parseS3Address, type S3Address } from '../storage/s3-address.js';
import type { S3Connection } from '../storage/s3-connection.js';
import type { ConditionalStore } from '../types.js';
import type { Existing, Journal } from './journal.js';
import { LineJournal } from './line-journal.js';
import { ObjectJournal } from './object-journal.js';

/** Port: a place for the files of a job. */
export interface Destination {
  readonly store: ConditionalStore;
  /** Where a file is, or the whole where the name is empty; in the form in which the user named the destination. */
  place(name: string): string;
  /** A place inside of this one. */
  folder(name: string): Destination;
  /**
   * Opens a file of lines for one writer.
   *
   * @throws DeflectorError OUTPUT_EXISTS, OUTPUT_LOCKED, and the codes of a failed write
   */
  journal(name: string, existing: Existing): Promise<Journal>;
  /**
   * Removes what writes left half done when their process was killed; for the one writer, who holds the journal.
   *
   * @param below also in the folders below
   */
  sweep(below: boolean): Promise<void>;
  /** Deletes files, and the folders that are empty then. @throws DeflectorError STORE_* */
  removeAll(names: Iterable<string>): Promise<void>;
  /** Finds out before any work whether results can go here. @throws DeflectorError SETTINGS_INVALID, STORE_* */
  check(): Promise<void>;
}

/** @throws DeflectorError SETTINGS_INVALID */
export function openDestination(out: string, s3: S3Connection): Destination {
  if (!isS3Address(out)) return new FolderDestination(out);
  const address = parseS3Address(out);
  if (address === undefined) throw invalid('--out', 's3://bucket or s3://bucket/prefix', out);
  return new S3Destination(s3, asFolder(address));
}

export class FolderDestination implements Destination {
  readonly store: ConditionalStore;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.store = new FileSystemStore(path);
  }

  place(name: string): string {
    return join(this.#path, name);
  }

  folder(name: string): Destination {
    return new FolderDestination(join(this.#path, name));
  }

  journal(name: string, existing: Existing): Promise<Journal> {
    return LineJournal.open(resolve(this.#path, name), existing);
  }

  sweep(below: boolean): Promise<void> {
    return removePartialWrites(resolve(this.#path), below);
  }

  async removeAll(names: Iterable<string>): Promise<void> {
    const folders = new Set<string>();
    for (const name of names) {
      await this.store.delete(name);
      for (let folder = posix.dirname(name); !folders.has(folder); folder = posix.dirname(folder)) folders.add(folder);
    }
    // The deepest first. One that holds something else stays.
    const deepest = [...folders].sort((a, b) => b.split('/').length - a.split('/').length);
    for (const folder of deepest) await rmdir(resolve(this.#path, folder)).catch(() => undefined);
  }

  async check(): Promise<void> {
    const stats = await stat(resolve(this.#path)).catch(error => systemCode(error));
    if (stats === 'ENOTDIR' || (typeof stats === 'object' && !stats.isDirectory())) {
      throw invalid('--out', 'a folder or the name of a new one', this.#path);
    }
  }
}

class S3Destination implements Destination {
  readonly store: ReturnType<S3Connection['open']>;
  readonly #connection: S3Connection;
  readonly #address: S3Address;

  /** @param address of a folder */
  constructor(connection: S3Connection, address: S3Address) {
    this.#connection = connection;
    this.#address = address;
    this.store = connection.open(address);
  }

  place(name: string): string {
    return formatS3Address({ ...this.#address, key: this.#address.key + name });
  }

  folder(name: string): Destination {
    return new S3Destination(this.#connection, { ...this.#address, key: `${this.#address.key}${name}/` });
  }

  journal(name: string, existing: Existing): Promise<Journal> {
    return ObjectJournal.open(this.store, name, existing, this.place(name));
  }

  async sweep(): Promise<void> {
    // An object is there whole or not at all.
  }

  removeAll(names: Iterable<string>): Promise<void> {
    return this.store.deleteAll([...names]);
  }

  async check(): Promise<void> {
    for await (const _ of this.store.list()) return;
  }
}
