/** Entry of the process that works on suspect images (see isolation.ts): one job, one image at a time. */
import { type Engine, openEngine } from '../src/engine/engine.js';
import { engineSpecOf } from '../src/engine/engine-spec.js';
import { hardenDecoder } from '../src/images/decode.js';
import { prepareRuntimes } from '../src/models/native-runtimes.js';
import { openModel } from '../src/models/registry.js';
import { toVerdictError } from '../src/stages/common.js';
import { failedVerdict } from '../src/stages/defend.js';
import { type FetchLimits, type FetchPorts, fetchImage, isFetched } from '../src/stages/fetch.js';
import { storeOpener } from '../src/storage/open-store.js';
import { S3Connection } from '../src/storage/s3-connection.js';
import type { FetchedImage, Verdict } from '../src/types.js';
import type { FromIsolated, ToIsolated } from './isolation.js';
import { checkModels, fetchPortsOf, optionsHere, optionsOf } from './job-engine.js';

let engine: Engine | undefined;
let fetching: { readonly ports: FetchPorts; readonly limits: FetchLimits } | undefined;

const answer = (message: FromIsolated): void => void process.send?.(message);

process.on('message', async (message: ToIsolated) => {
  try {
    if (message.type === 'job') {
      await open(message);
      answer({ type: 'ready' });
    } else if (message.type === 'image') answer({ type: 'verdict', verdict: await defend(message.image) });
    else {
      const image = await fetchImage(message.item, fetching!.ports, fetching!.limits);
      if (engine === undefined) answer({ type: 'image', image });
      else answer({ type: 'verdict', verdict: isFetched(image) ? await defend(image) : failedVerdict(image) });
    }
  } catch (error) {
    const { code, message: text } = toVerdictError(error);
    answer({ type: 'failed', code, message: text });
  }
});
// Nobody waits for the answer of one whose worker is gone.
process.on('disconnect', () => process.exit());

async function open({ job, work, options: worker }: Extract<ToIsolated, { type: 'job' }>): Promise<void> {
  hardenDecoder();
  const options = work === 'fetch' ? optionsOf(job) : optionsHere(job, worker);
  if (work !== 'fetch') {
    const spec = engineSpecOf(options, worker);
    prepareRuntimes(spec);
    engine = await openEngine(spec);
    checkModels(job, engine.info);
  }
  if (work === 'defend') return;
  const { preprocessing } = engine?.info ?? (await openModel(options.model));
  const ports = fetchPortsOf(job, options, preprocessing, storeOpener(new S3Connection(worker)));
  fetching = { ports, limits: options };
}

async function defend(image: FetchedImage): Promise<Verdict> {
  return (await engine!.defend(image)).verdict;
}
