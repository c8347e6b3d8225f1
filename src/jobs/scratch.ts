/**
 * The scratch of jobs: packs on their way from the fetch stage to the defend stage, in the store of their job.
 *
 *     scratch/JOB-ID/0000/0012.pack    the images of chunk 12
 */
import { DeflectorError, type ErrorCode } from '../errors.js';
import type { OpenFolder } from '../storage/open-store.js';
import type { FailedImage, FetchedImage, JobItem } from '../types.js';
import { chunkName } from './chunk-files.js';
import type { Job } from './job.js';
import type { JobRecords } from './job-records.js';
import { formatPack, type PackLimits, readPack } from './pack.js';
import type { PackRegister, RegisteredPack } from './pack-register.js';

export interface ScratchPorts {
  readonly packs: PackRegister;
  readonly openFolder: OpenFolder;
}

type JobOfPack = Pick<Job, 'name' | 'id' | 'lane' | 'out'>;

/** Writes the pack of a chunk: registered first, whole or not at all. */
export async function writePack(
  job: JobOfPack,
  chunk: number,
  images: AsyncIterable<FetchedImage | FailedImage>,
  { packs, openFolder }: ScratchPorts,
): Promise<void> {
  await packs.add(job, chunk);
  await openFolder(job.out).writeStream(packName(job.id, chunk), formatPack(images));
}

/** What a store says of one object that is lost or damaged: the pack has to be made again. */
const OF_NO_USE: Readonly<Partial<Record<ErrorCode, string>>> = {
  IMAGE_NOT_FOUND: 'is not there (any more)',
  IMAGE_CORRUPT: 'is damaged',
};

/** Reads the pack of a chunk. @throws DeflectorError PACK_INVALID, also where it is not there; what the store throws */
export async function* openPack(
  job: JobOfPack,
  chunk: number,
  items: readonly JobItem[],
  limits: PackLimits,
  { openFolder }: ScratchPorts,
): AsyncGenerator<FetchedImage | FailedImage, void, undefined> {
  const name = packName(job.id, chunk);
  try {
    yield* readPack(openFolder(job.out).stream(name), items, limits);
  } catch (error) {
    const why = error instanceof DeflectorError ? OF_NO_USE[error.code] : undefined;
    if (why === undefined) throw error;
    throw new DeflectorError('PACK_INVALID', `${name} ${why}`, { cause: error });
  }
}

/** Deletes the pack of a chunk, where there is one, and forgets it. */
export async function clearPack(job: JobOfPack, chunk: number, { packs, openFolder }: ScratchPorts): Promise<void> {
  await openFolder(job.out).delete(packName(job.id, chunk));
  await packs.remove(job, chunk);
}

/**
 * Clears packs that nobody will read: of chunks that have their verdicts or were given up, of jobs that are over, and
 * what is older than `expiry` milliseconds, which is fetched again when its turn comes.
 *
 * @returns how many
 * @throws the first fault, once all others are cleared
 */
export async function sweepPacks(
  ports: ScratchPorts & { readonly records: JobRecords },
  expiry = Number.POSITIVE_INFINITY,
): Promise<number> {
  let swept = 0;
  let fault: { readonly error: unknown } | undefined;
  for await (const pack of ports.packs.all()) {
    if (Date.now() - pack.since < expiry && (await isWanted(pack, ports.records))) continue;
    try {
      await clearPack({ ...pack, name: pack.job }, pack.chunk, ports);
      swept++;
    } catch (error) {
      fault ??= { error };
    }
  }
  if (fault !== undefined) throw fault.error;
  return swept;
}

async function isWanted({ job: name, id, chunk }: RegisteredPack, records: JobRecords): Promise<boolean> {
  if (await records.isOver({ name, id })) return false;
  for await (const _ of records.outstanding({ name }, chunk + 1, chunk)) return true;
  return false;
}

/** The name of a chunk's pack in the store of its job. @param id of the job */
export function packName(id: string, chunk: number): string {
  return `scratch/${id}/${chunkName(chunk)}.pack`;
}
