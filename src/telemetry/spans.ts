/** Makes spans of what the stages tell of their work: they end when it is told, and began as long before as it took. */
import type { LiveModel, ModelCall, StageObserver, TraceParent } from '../stages/observer.js';
import type { VerdictError } from '../types.js';
import type { Tracer } from './tracer.js';

/** Of so many calls of the model one has a span: there are several for each image. */
const CALLS_A_SPAN = 16;

/** Adds spans to what an observer does. Only what has a trace to be part of gets one. */
export function withSpans(tracer: Tracer, inner: StageObserver): StageObserver {
  let calls = 0;
  const span = (
    name: string,
    parent: TraceParent,
    at: number,
    until: number,
    attributes = {},
    error?: VerdictError,
  ) => {
    const begun = tracer.begin(name, { parent, at, attributes });
    begun.end(error, until);
    return begun.context;
  };
  return {
    entered: (stage, images) => inner.entered(stage, images),
    fetched: (image, trace) => {
      inner.fetched(image, trace);
      if (trace === undefined) return;
      const { fetch, decode } = image.ms;
      const until = Date.now();
      const key = { 'deflector.image.key': image.key };
      const own = span('fetch image', trace, until - fetch - decode, until, key, image.error);
      if (decode > 0 && own !== undefined) span('decode image', own, until - decode, until);
    },
    defended: (outcome, trace) => {
      inner.defended(outcome, trace);
      const { verdict, passes } = outcome;
      if (trace === undefined) return;
      const until = Date.now();
      const attributes = {
        'deflector.image.key': verdict.key,
        'deflector.passes': passes,
        ...(verdict.status === 'ok'
          ? { 'deflector.suspicious': verdict.suspicious, 'deflector.agreement': verdict.agreement }
          : {}),
      };
      const error = verdict.status === 'error' ? verdict.error : undefined;
      span('defend image', trace, until - (verdict.ms.defend ?? 0), until, attributes, error);
    },
    modelLive: (engine, threads) => inner.modelLive(engine, threads),
    modelCalled: (engine, made, trace) => {
      inner.modelCalled(engine, made, trace);
      if (trace === undefined) return;
      for (const call of made) if (calls++ % CALLS_A_SPAN === 0) spanOf(call, engine, trace);
    },
    threadLost: () => inner.threadLost(),
    published: publication => inner.published(publication),
    chunkDone: stage => inner.chunkDone(stage),
    workerLost: stage => inner.workerLost(stage),
    retried: (stage, code) => inner.retried(stage, code),
    gaveUp: (stage, code) => inner.gaveUp(stage, code),
  };

  function spanOf({ at, ms, images }: ModelCall, { model, runtime }: LiveModel, trace: TraceParent): void {
    const attributes = {
      'deflector.model.name': model.name,
      'deflector.runtime': runtime,
      'deflector.batch.size': images,
    };
    span('call model', trace, at, at + ms, attributes);
  }
}
