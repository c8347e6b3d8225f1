/** The proof that the runtime which a worker was started for computes here, before the worker takes any work. */

import { PAPER_SETTINGS } from '../src/defense/settings.js';
import { tryRuntime } from '../src/doctor/runtimes.js';
import { DefendPool } from '../src/engine/defend-pool.js';
import { DeflectorError } from '../src/errors.js';
import { openModel } from '../src/models/registry.js';
import { executes } from '../src/models/runtimes.js';
import type { Device } from '../src/types.js';
import type { StagePorts, WorkerOptions } from './stage.js';

/**
 * Makes the worker's model live on its runtime and device, which a GPU has to prove, and tells metrics and log of it. A model
 * of the other family proves nothing: then a small network is run. With the runtime `auto` nothing was asked for.
 *
 * @throws DeflectorError RUNTIME_UNAVAILABLE; what opening the model throws
 */
export async function proveRuntime(
  { model, runtime, device }: Pick<WorkerOptions, 'model' | 'runtime' | 'device'>,
  { observer, log }: Pick<StagePorts, 'observer' | 'log'>,
): Promise<void> {
  if (runtime === 'auto') return;
  if (!executes(runtime, await openModel(model))) {
    const versions = await tryRuntime(runtime, device).catch((cause: Error) => {
      throw new DeflectorError('RUNTIME_UNAVAILABLE', `${runtime} does not work here: ${cause.message}`, { cause });
    });
    log.info({ runtime, versions }, 'Runtime works');
    return;
  }
  const settings = { ...PAPER_SETTINGS, seed: '', map: 'uniform' } as const;
  const work = { settings, record: {}, maximumBatch: 1, threads: 1, graph: 'off', localizer: null } as const;
  const pool = await DefendPool.start({ model, runtime, device, ...work }, 1, observer);
  const { device: proved } = pool.info;
  await pool.close();
  log.info(
    { runtime, model: pool.info.model.name, ...(proved === undefined ? {} : { gpu: told(proved) }) },
    'Runtime works',
  );
}

function told({ index, name, memory, driver, operators, ms }: Device) {
  return { index, name, memory, driver, operators, ms: Math.round(ms * 10) / 10 };
}
