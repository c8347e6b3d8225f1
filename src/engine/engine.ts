/** Makes a defend engine live: model, runtime, localiser and kernel behind one call. */
import { comparatorSteps } from '../comparators/order.js';
import { createKernelDefender } from '../defense/kernel/kernel-defender.js';
import { type DefenceSettings, usesMap } from '../defense/settings.js';
import { invalid } from '../errors.js';
import { createLocalizer } from '../models/localizer.js';
import { openModel } from '../models/registry.js';
import { type GraphMode, openClassifier, openRunClassifier } from '../models/runtimes.js';
import { checkSameLabels, jointIdentity } from '../models/voters.js';
import { systemClock } from '../stages/common.js';
import { DefendEngine, type DefendOutcome, type Wanted } from '../stages/defend.js';
import type { ModelCall } from '../stages/observer.js';
import type { Classifier, Device, FetchedImage, Label, Localizer, ModelIdentity, Preprocessing } from '../types.js';

/** What an engine is made of, as plain data: it travels to worker threads. */
export interface EngineSpec {
  /** Name or folder of the classifier. */
  readonly model: string;
  /** Those of the classifiers that vote with it. Default: none. */
  readonly voters?: readonly string[];
  /** Name or folder of the model that makes the activation maps; `null` for the classifier itself. */
  readonly localizer: string | null;
  readonly runtime: string;
  readonly graph: GraphMode;
  /** Which GPU, from 0, where the runtime uses one. */
  readonly device: number;
  readonly settings: DefenceSettings;
  /** What verdicts say of the settings. */
  readonly record: Readonly<Record<string, unknown>>;
  readonly maximumBatch: number;
  /** Threads that compute one call of the model: 1 where many engines share the cores. */
  readonly threads: number;
}

/** What became of the names in the spec. */
export interface EngineInfo {
  /** Who classifies; of several models who they are together. */
  readonly model: ModelIdentity;
  readonly localizer: ModelIdentity | undefined;
  readonly runtime: string;
  /** Whether runs are made in the model's graph, rather than by the kernel. */
  readonly graph: boolean;
  /** The device that proved to compute the model; `undefined` on the CPU. */
  readonly device: Device | undefined;
  readonly preprocessing: Preprocessing;
  readonly labels: readonly Label[];
}

export interface Engine {
  readonly info: EngineInfo;
  /** @see DefendEngine.defend */
  defend(image: FetchedImage, wanted?: Wanted): Promise<DefendOutcome>;
  /** Frees the sessions; call it when nothing is in hand. */
  close(): Promise<void>;
}

/**
 * @param called is told of each call of the classifier
 * @throws DeflectorError what opening a model throws; MODEL_NO_LOCALIZATION; MODEL_UNSUPPORTED or SETTINGS_INVALID where several
 *   models cannot vote together
 */
export async function openEngine(spec: EngineSpec, called?: (call: ModelCall) => void): Promise<Engine> {
  const model = await openModel(spec.model);
  const opened: { dispose(): Promise<void> }[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(opened.map(one => one.dispose()));
  };
  try {
    const { runtime, device, threads } = spec;
    const classifier = await openClassifier(model, { runtime, device, threads });
    opened.push(classifier);
    const voters: Classifier[] = [];
    for (const name of spec.voters ?? []) {
      const voter = await openClassifier(await openModel(name), { runtime, device, threads });
      opened.push(voter);
      voters.push(voter);
      checkSameLabels(classifier, voter);
    }
    if (voters.length > 0 && (spec.graph === 'on' || spec.graph === 'half')) {
      throw invalid('--graph', 'auto or off, since several models vote', spec.graph);
    }
    let localizer: Localizer | undefined;
    if (spec.localizer !== null && usesMap(spec.settings)) {
      const locating = await openClassifier(await openModel(spec.localizer), { runtime, device, threads });
      opened.push(locating);
      localizer = createLocalizer(locating);
    }
    const graph = voters.length > 0 ? 'off' : spec.graph;
    const runs = await openRunClassifier(model, spec.settings, graph, { runtime, device, threads });
    if (runs !== undefined) opened.push(runs);
    const engine = new DefendEngine(
      {
        classifier,
        voters,
        defender: await createKernelDefender(comparatorSteps()),
        localizer,
        runs,
        clock: systemClock,
        called: called === undefined ? undefined : call => called({ ...call, at: Date.now() - call.ms }),
      },
      // A call of the model takes its thread whole and costs no less per image in larger batches: waiting gains nothing.
      { settings: spec.settings, record: spec.record, maximumBatch: spec.maximumBatch, maximumWait: 0 },
    );
    const info = {
      model: jointIdentity([classifier, ...voters].map(voter => voter.model)),
      localizer: localizer?.model,
      runtime: classifier.runtime,
      graph: runs !== undefined,
      device: classifier.device,
      preprocessing: classifier.preprocessing,
      labels: classifier.labels,
    };
    return { info, defend: (image, wanted) => engine.defend(image, wanted), close };
  } catch (error) {
    await close();
    throw error;
  }
}
