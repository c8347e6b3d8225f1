/** A file of lines that is its own journal: what was acknowledged is on the disk, and whole. */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DeflectorError } from '../errors.js';
import { withDescriptor, writeFault } from '../storage/faults.js';
import { syncFolder } from '../storage/filesystem-store.js';
import { type Line, readLines } from '../storage/lines.js';
import { type Lock, lockFile } from '../storage/lock-file.js';
import { GroupCommit } from './group-commit.js';
import type { Existing, Journal } from './journal.js';

const LINE_FEED = 0x0a;
const TAIL_BYTES = 64 * 1024;

/**
 * An append-only file of lines.
 *
 *     open ──append──▶ writing ──synced──▶ open ──close──▶ closed
 *                         └─failed──▶ broken (cut back to the last synced line; every append fails) ──close──▶ closed
 */
export class LineJournal implements Journal {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #lock: Lock;
  #resumedBytes: number;
  #size: number;
  readonly #commit = new GroupCommit(lines => this.#persist(Buffer.from(`${lines.join('\n')}\n`)));

  private constructor(path: string, file: FileHandle, lock: Lock, size: number) {
    this.#path = path;
    this.#file = file;
    this.#lock = lock;
    this.#size = size;
    this.#resumedBytes = size;
  }

  /**
   * Opens the file, making it and its folder where they are missing, and locks it by `PATH.lock`.
   * With `resume` a last line without an end, as a crash leaves it, is cut off.
   *
   * @throws DeflectorError OUTPUT_EXISTS, OUTPUT_LOCKED, STORE_FULL, STORE_UNAVAILABLE
   */
  static async open(path: string, existing: Existing): Promise<LineJournal> {
    const folder = dirname(path);
    let lock: Lock | undefined;
    let file: FileHandle | undefined;
    try {
      await mkdir(folder, { recursive: true });
      lock = await lockFile(`${path}.lock`);
      file = await withDescriptor(() => open(path, constants.O_RDWR | constants.O_CREAT, 0o666));
      const { size } = await file.stat();
      // What is empty was left by a job that was killed before its first line: there is nothing to lose.
      if (existing === 'refuse' && size > 0) {
        throw new DeflectorError('OUTPUT_EXISTS', `The output is there already: ${path}`);
      }
      const kept = existing === 'resume' ? await endOfLines(file, size) : 0;
      if (kept < size) await file.truncate(kept);
      await file.sync();
      await syncFolder(folder);
      return new LineJournal(path, file, lock, kept);
    } catch (error) {
      await file?.close();
      await lock?.release();
      throw writeFault(error, path);
    }
  }

  resumed(maxLineBytes: number): AsyncGenerator<Line, void, undefined> {
    return readLines(this.#path, maxLineBytes, this.#resumedBytes);
  }

  async cutBehind(lines: number): Promise<boolean> {
    let length = 0;
    let count = 0;
    if (lines > 0) {
      for await (const { bytes } of this.resumed(0)) {
        length += bytes + 1;
        if (++count === lines) break;
      }
    }
    if (count < lines) return false;
    try {
      await this.#file.truncate(length);
      await this.#file.sync();
    } catch (error) {
      throw writeFault(error, this.#path);
    }
    this.#size = length;
    this.#resumedBytes = length;
    return true;
  }

  /** After a failure the file ends with the last line that was acknowledged. */
  append(lines: readonly string[]): Promise<void> {
    return this.#commit.append(lines);
  }

  async #persist(bytes: Buffer): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#size + done);
        done += bytesWritten;
      }
      await this.#file.datasync();
      this.#size += bytes.length;
    } catch (error) {
      // What could not be written whole is taken back; where even that fails, resuming cuts it off.
      await this.#file.truncate(this.#size).catch(() => undefined);
      throw writeFault(error, this.#path);
    }
  }

  /** The journal is the file already. */
  async seal(): Promise<void> {
    await this.#commit.settled();
  }

  sealed(maxLineBytes: number): AsyncGenerator<Line, void, undefined> {
    return readLines(this.#path, maxLineBytes);
  }

  async close(): Promise<void> {
    await this.#commit.settled();
    try {
      await this.#file.close();
    } finally {
      await this.#lock.release();
    }
  }
}

/** Where the last line feed of a file ends, in bytes. */
async function endOfLines(file: FileHandle, size: number): Promise<number> {
  const buffer = Buffer.allocUnsafe(TAIL_BYTES);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - buffer.length);
    let length = 0;
    while (start + length < end) {
      const { bytesRead } = await file.read(buffer, length, end - start - length, start + length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    const feed = buffer.subarray(0, length).lastIndexOf(LINE_FEED);
    if (feed >= 0) return start + feed + 1;
    end = start;
  }
  return 0;
}
