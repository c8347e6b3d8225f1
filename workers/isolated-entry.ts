/** Entry of the process that works on suspect images (see isolation.ts): one job, one image at a time. */
import { checkModels, fetchPortsOf, optionsOf } from '../pipelines/job-work.js';
import { type Engine, openEngine } from '../src/engine/engine.js';
import { engineSpecOf } from '../src/engine/engine-spec.js';
import { hardenDecoder } from '../src/images/decode.js';
import { encodePng } from '../src/images/write.js';
import { prepareRuntimes } from '../src/models/native-runtimes.js';
import { openModel } from '../src/models/registry.js';
import { toVerdictError } from '../src/stages/common.js';
import { failedVerdict } from '../src/stages/defend.js';
import { type FetchLimits, type FetchPorts, fetchImage, isFetched } from '../src/stages/fetch.js';
import type { FetchEnd, ModelCall } from '../src/stages/observer.js';
import { storeOpener } from '../src/storage/open-store.js';
import { S3Connection } from '../src/storage/s3-connection.js';
import type { FetchedImage } from '../src/types.js';
import type { FromIsolated, ToIsolated } from './isolation.js';
import { optionsHere } from './job-engine.js';

let engine: Engine | undefined;
/** Whether the job wants the defended images. */
let emits = false;
/** Calls of the model since the last answer. */
let calls: ModelCall[] = [];
let fetching: { readonly ports: FetchPorts; readonly limits: FetchLimits } | undefined;

const answer = (message: FromIsolated): void => void process.send?.(message);

process.on('message', async (message: ToIsolated) => {
  try {
    if (message.type === 'job') {
      await open(message);
      answer({ type: 'ready' });
    } else if (message.type === 'image') answer(await defend(message.image, undefined));
    else {
      const image = await fetchImage(message.item, fetching!.ports, fetching!.limits);
      const { key, ms } = image;
      const fetched = isFetched(image) ? { key, ms } : { key, ms, error: image.error };
      if (engine === undefined) answer({ type: 'image', image, told: { fetched, calls } });
      else if (isFetched(image)) answer(await defend(image, fetched));
      else answer({ type: 'verdict', verdict: failedVerdict(image), told: { fetched, calls } });
    }
    calls = [];
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
  emits = options.emit === 'defended';
  if (work !== 'fetch') {
    const spec = engineSpecOf(options, worker);
    prepareRuntimes(spec);
    engine = await openEngine(spec, call => calls.push(call));
    checkModels(job, engine.info);
  }
  if (work === 'defend') return;
  const { preprocessing } = engine?.info ?? (await openModel(options.model));
  const ports = fetchPortsOf(job, options, preprocessing, storeOpener(new S3Connection(worker)));
  fetching = { ports, limits: options };
}

async function defend(image: FetchedImage, fetched: FetchEnd | undefined): Promise<FromIsolated> {
  const { verdict, passes, defended } = await engine!.defend(image, { defended: emits });
  const { model, runtime } = engine!.info;
  return {
    type: 'verdict',
    verdict,
    ...(defended === undefined ? {} : { png: await encodePng(defended) }),
    told: { fetched, defended: { verdict, passes }, model: { model, runtime }, calls },
  };
}
