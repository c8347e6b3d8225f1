/** The pictures of an exported job's report: its few images are fetched and defended once more, under the job's limits. */
import type { ResolvedOptions } from '../src/config/settings.js';
import { DefendPool } from '../src/engine/defend-pool.js';
import { engineSpecOf } from '../src/engine/engine-spec.js';
import { DeflectorError } from '../src/errors.js';
import { hardenDecoder } from '../src/images/decode.js';
import { readChunk } from '../src/jobs/chunk-files.js';
import type { Job } from '../src/jobs/job.js';
import { type GalleryChoice, type GalleryItem, galleryItem } from '../src/report/gallery.js';
import { fetchImage, isFetched } from '../src/stages/fetch.js';
import type { OpenStore } from '../src/storage/open-store.js';
import type { JobItem } from '../src/types.js';
import { checkModels, fetchPortsOf } from './job-work.js';

/**
 * Same image, same seed, same pictures as in the job. An image that is not what it was, or not there, is left out.
 *
 * @param choices what the report is to show
 * @param missing is told how many pictures are left out, and why the first one was
 */
export async function* exportGallery(
  job: Job,
  options: ResolvedOptions,
  choices: readonly GalleryChoice[],
  openStore: OpenStore,
  missing: (count: number, why: string) => void,
): AsyncGenerator<GalleryItem, void, undefined> {
  if (choices.length === 0) return;
  let left = 0;
  let why = '';
  const leaveOut = (reason: unknown): void => {
    if (left++ === 0) why = reason instanceof Error ? reason.message : String(reason);
  };
  let pool: DefendPool | undefined;
  try {
    hardenDecoder();
    pool = await DefendPool.start(engineSpecOf(options), 1);
    checkModels(job, pool.info);
    const items = await itemsAt(job, choices, openStore);
    const ports = fetchPortsOf(job, options, pool.info.preprocessing, openStore);
    for (const { position, verdict } of choices) {
      try {
        const item = items.get(position);
        if (item === undefined || item.key !== verdict.key)
          throw new Error(`${verdict.key} is not where it was listed`);
        const image = await fetchImage(item, ports, options);
        if (!isFetched(image)) throw new Error(image.error.message);
        if (image.sha256 !== verdict.sha256) throw new Error(`${verdict.key} is another image now`);
        const { explanation } = await pool.defend(image, { explanation: true });
        if (explanation !== undefined) yield await galleryItem({ ...explanation, verdict });
      } catch (error) {
        leaveOut(error);
      }
    }
  } catch (error) {
    if (!(error instanceof DeflectorError)) throw error;
    // No model, no pictures: the verdicts are what the export is about.
    missing(choices.length, error.message);
    return;
  } finally {
    await pool?.close();
  }
  if (left > 0) missing(left, why);
}

/** The images at some places of the input. */
async function itemsAt(
  job: Job,
  choices: readonly GalleryChoice[],
  openStore: OpenStore,
): Promise<Map<number, JobItem>> {
  const found = new Map<number, JobItem>();
  const take = async (chunk: number): Promise<number> => {
    const items = await readChunk(openStore(job.out), chunk);
    for (const item of items) if (choices.some(({ position }) => position === item.index)) found.set(item.index, item);
    return items.length;
  };
  if (job.stream === undefined) {
    for (const chunk of new Set(choices.map(({ position }) => Math.floor(position / job.chunk)))) await take(chunk);
    return found;
  }
  // Chunks of a stream are as long as they came: only counting finds a place in them.
  const last = Math.max(...choices.map(({ position }) => position));
  for (let chunk = 0, seen = 0; seen <= last; chunk++) seen += await take(chunk);
  return found;
}
