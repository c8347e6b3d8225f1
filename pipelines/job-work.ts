/** What the work on a job's images is made of, as its record says. */
import { type ResolvedOptions, resolveSettings } from '../src/config/settings.js';
import type { EngineInfo } from '../src/engine/engine.js';
import { DeflectorError } from '../src/errors.js';
import { decoderFor } from '../src/images/decoder.js';
import type { Job } from '../src/jobs/job.js';
import { systemClock } from '../src/stages/common.js';
import type { FetchPorts } from '../src/stages/fetch.js';
import { SILENT, type StageObserver } from '../src/stages/observer.js';
import type { OpenStore } from '../src/storage/open-store.js';
import type { ModelIdentity, Preprocessing } from '../src/types.js';

/** The settings that a job was created with. */
export function optionsOf(job: Job): ResolvedOptions {
  return resolveSettings({ flags: job.settings });
}

/**
 * Refuses to defend with other models than the job was created for.
 *
 * @throws DeflectorError WORKER_UNFIT
 */
export function checkModels(job: Job, info: Pick<EngineInfo, 'model' | 'localizer'>): void {
  const check = (expected: ModelIdentity | undefined, found: ModelIdentity | undefined): void => {
    if (expected?.sha256 === found?.sha256) return;
    const digest = (model: ModelIdentity | undefined) => model?.sha256.slice(0, 12) ?? 'none';
    const name = expected?.name ?? 'localizer';
    const message = `The job ${job.name} needs the model ${name} with the SHA-256 ${digest(expected)}..., but here it is ${digest(found)}...`;
    throw new DeflectorError('WORKER_UNFIT', message);
  };
  check(job.model, info.model);
  check(job.localizer, info.localizer);
}

/** What the fetch stage needs for the images of a job. */
export function fetchPortsOf(
  job: Job,
  options: ResolvedOptions,
  preprocessing: Preprocessing,
  openStore: OpenStore,
  observer: StageObserver = SILENT,
): FetchPorts {
  return {
    observer,
    stores: job.stores.map(address => openStore(address)),
    decode: decoderFor(preprocessing, options.defence.at, options),
    clock: systemClock,
  };
}
