/** What an engine is made of, from resolved settings. */
import { defenceRecord, type ResolvedOptions } from '../config/settings.js';
import type { EngineSpec } from './engine.js';

/**
 * The engine that settings ask for.
 *
 * @param options of the job
 * @param here what this machine says for itself: its batches, its GPU
 * @param threads that compute one call of the model
 */
export function engineSpecOf(
  options: ResolvedOptions,
  here: Pick<ResolvedOptions, 'batch' | 'device'> = options,
  threads = 1,
): EngineSpec {
  const { model, voters, localizer, runtime, graph, defence } = options;
  const record = defenceRecord(options);
  const { batch, device } = here;
  return {
    model,
    voters: voters ?? [],
    localizer,
    runtime,
    graph,
    device,
    settings: defence,
    record,
    maximumBatch: batch,
    threads,
  };
}
