/** Entry of the process that defends suspect images (see isolation.ts): one job, one image at a time. */
import { type Engine, openEngine } from '../src/engine/engine.js';
import { hardenDecoder } from '../src/images/decode.js';
import { silenceOnnxRuntime } from '../src/models/onnx-runtime.js';
import { toVerdictError } from '../src/stages/common.js';
import { failedVerdict } from '../src/stages/defend.js';
import { type FetchLimits, type FetchPorts, fetchImage, isFetched } from '../src/stages/fetch.js';
import { storeOpener } from '../src/storage/open-store.js';
import { S3Connection } from '../src/storage/s3-connection.js';
import type { JobItem, Verdict } from '../src/types.js';
import type { FromIsolated, ToIsolated } from './isolation.js';
import { checkModels, engineSpecOf, fetchPortsOf, optionsOf } from './job-engine.js';

let ready: { readonly engine: Engine; readonly ports: FetchPorts; readonly limits: FetchLimits } | undefined;

const answer = (message: FromIsolated): void => void process.send?.(message);

process.on('message', async (message: ToIsolated) => {
  try {
    if (message.type === 'job') {
      await open(message);
      answer({ type: 'ready' });
    } else answer({ type: 'verdict', verdict: await defend(message.item) });
  } catch (error) {
    const { code, message: text } = toVerdictError(error);
    answer({ type: 'failed', code, message: text });
  }
});
// Nobody waits for the answer of one whose worker is gone.
process.on('disconnect', () => process.exit());

async function open({ job, options: worker }: Extract<ToIsolated, { type: 'job' }>): Promise<void> {
  hardenDecoder();
  silenceOnnxRuntime();
  const options = optionsOf(job);
  const engine = await openEngine(engineSpecOf(options, worker.batch));
  checkModels(job, engine.info);
  ready = {
    engine,
    ports: fetchPortsOf(job, options, engine.info.preprocessing, storeOpener(new S3Connection(worker))),
    limits: options,
  };
}

async function defend(item: JobItem): Promise<Verdict> {
  const { engine, ports, limits } = ready!;
  const image = await fetchImage(item, ports, limits);
  return isFetched(image) ? (await engine.defend(image)).verdict : failedVerdict(image);
}
