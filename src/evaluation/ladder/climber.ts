/**
 * What climbs: the models of a thread, made live once, behind one defence after another. An image is attacked, rounded to
 * 8 bits, and labelled by the defence under a seed that the attacker does not know.
 */
import { topClass } from '../../attacks/attack.js';
import { ATTACKS } from '../../attacks/catalogue.js';
import { resolveParameters } from '../../attacks/resolve-parameters.js';
import { comparatorSteps } from '../../comparators/order.js';
import type { Defender } from '../../defense/defender.js';
import { createKernelDefender } from '../../defense/kernel/kernel-defender.js';
import { toPlanar } from '../../defense/order.js';
import { runRandom } from '../../defense/random.js';
import type { DefenceSettings } from '../../defense/settings.js';
import { openModel } from '../../models/registry.js';
import { openDifferentiable } from '../../models/runtimes.js';
import type { DifferentiableClassifier, RgbImage } from '../../types.js';
import { imageDistance } from '../statistics.js';
import {
  type Attacker,
  queryAttacker,
  type Reach,
  roundedNear,
  type Target,
  unawareAttacker,
  whiteBoxAttacker,
} from './attacker.js';
import { contentHash, DefendedModel, type NetworkCalls } from './defended-model.js';
import { PlainModel } from './plain-model.js';
import type { Access } from './rungs.js';

/** What a climber is made of, as plain data: it travels to worker threads. */
export interface ClimberSpec {
  /** Name or folder of the model. */
  readonly model: string;
  readonly runtime: string;
  /** Name or folder of the model of rung 8. */
  readonly surrogate: string | null;
}

/** How far and how long attacks try. */
export interface LadderBudget {
  /** Largest change of a value on the [0,1] scale. */
  readonly epsilon: number;
  /** Steps of an attack by gradients. */
  readonly steps: number;
  /** Questions of an attack by queries. */
  readonly queries: number;
}

/** One image, one attacker, one defence; plain data. */
export interface Climb {
  /** Of the model's input size. */
  readonly image: RgbImage;
  /** The true class. */
  readonly label: number;
  /** The defence; its seed fixes the votes. */
  readonly settings: DefenceSettings;
  readonly access: Access;
  /** Name in the catalogue of attacks; `undefined` where `access` is no attacker. */
  readonly attack: string | undefined;
  readonly budget: LadderBudget;
  /** Seed of the attacker. */
  readonly seed: string;
}

/** What came of it; figures are of the 8-bit image. */
export interface ClimbResult {
  /** What the undefended model says of the clean image; where that is wrong, nothing was attacked. */
  readonly clean: number;
  /** What the undefended model says of the attacked image, and what the defence says. */
  readonly undefended: number;
  readonly defended: number;
  /** |x - x'| / |x|, and the largest change, on the [0,1] scale. */
  readonly l2: number;
  readonly linf: number;
  /** Gradients and forward passes of the network that the attack took. */
  readonly gradients: number;
  readonly forward: number;
}

/** An attacked image, and what it took. */
interface Attacked {
  readonly image: RgbImage;
  readonly gradients: number;
  readonly forward: number;
}

/** Pairs of points in one step of SPSA. */
const SPSA_PAIRS = 16;

/** One thread's models. Climbs one image at a time. */
export class Climber {
  readonly #classifier: DifferentiableClassifier;
  readonly #surrogate: DifferentiableClassifier | undefined;
  readonly #defender: Defender;
  /** The image in hand, and what was made of it without a look at the defence. */
  #hash = '';
  readonly #unaware = new Map<string, Attacked>();

  private constructor(
    classifier: DifferentiableClassifier,
    surrogate: DifferentiableClassifier | undefined,
    defender: Defender,
  ) {
    this.#classifier = classifier;
    this.#surrogate = surrogate;
    this.#defender = defender;
  }

  /** @throws DeflectorError what opening a model throws; MODEL_UNSUPPORTED where one has no gradients */
  static async open({ model, runtime, surrogate }: ClimberSpec): Promise<Climber> {
    const open = async (name: string) => openDifferentiable(await openModel(name), { runtime, threads: 1 });
    const classifier = await open(model);
    try {
      const other = surrogate === null ? undefined : await open(surrogate);
      return new Climber(classifier, other, await createKernelDefender(comparatorSteps()));
    } catch (error) {
      await classifier.dispose();
      throw error;
    }
  }

  /** @throws DeflectorError INFERENCE_FAILED */
  async climb(task: Climb): Promise<ClimbResult> {
    const { image, label, settings } = task;
    const undefended = new PlainModel(this.#classifier);
    const clean = topClass(await undefended.scores(image));
    const defended = new DefendedModel(this.#classifier, this.#defender, settings);
    const made = clean === label ? await this.#attack(task, defended) : { image, gradients: 0, forward: 0 };
    const { l2Normalised, linf } = imageDistance(toPlanar(image), toPlanar(made.image));
    return {
      clean,
      undefended: topClass(await undefended.scores(made.image)),
      defended: await defended.defendedLabel(made.image, settings.seed),
      ...{ l2: l2Normalised, linf, gradients: made.gradients, forward: made.forward },
    };
  }

  /** Frees the sessions; nothing may be in hand. */
  async close(): Promise<void> {
    await Promise.all([this.#classifier.dispose(), this.#surrogate?.dispose()]);
  }

  async #attack(task: Climb, defended: DefendedModel): Promise<Attacked> {
    const { image, access, attack, budget, seed } = task;
    const reach: Reach = { norm: attack === 'hopskipjump' ? 'l2' : 'linf', epsilon: budget.epsilon };
    if (access.kind === 'clean') return { image, gradients: 0, forward: 0 };
    if (access.kind === 'noise') return { image: noisy(image, reach, seed), gradients: 0, forward: 0 };
    const target: Target = { image, label: task.label, reach, seed };
    if (access.kind === 'white-box' || access.kind === 'queries') {
      const attacker =
        access.kind === 'queries'
          ? queryAttacker(defended, target)
          : await whiteBoxAttacker(defended, access, target, task.settings.seed);
      return carriedOut(attacker, task, reach, defended.calls);
    }
    return this.#unawareOnce(target, task, reach);
  }

  /** An attack that looks at no defence: made once an image, for all of them. */
  async #unawareOnce(target: Target, task: Climb, reach: Reach): Promise<Attacked> {
    const hash = contentHash(task.image);
    if (hash !== this.#hash) this.#unaware.clear();
    this.#hash = hash;
    const { image: _, settings: __, ...rest } = task;
    const name = JSON.stringify(rest);
    let made = this.#unaware.get(name);
    if (made === undefined) {
      const model = new PlainModel(task.access.kind === 'surrogate' ? this.#surrogate! : this.#classifier);
      made = await carriedOut(unawareAttacker(model, target), task, reach, model.calls);
      this.#unaware.set(name, made);
    }
    return made;
  }
}

/** Carries an attack out to its end, or to the first candidate that its attacker is content with. */
async function carriedOut(
  { subject, found }: Attacker,
  task: Climb,
  reach: Reach,
  calls: NetworkCalls,
): Promise<Attacked> {
  const attack = ATTACKS.find(({ name }) => name === task.attack)!;
  const values = resolveParameters(attack, parametersOf(attack.name, task.budget));
  const ended = attack.run(subject, values).then(pixels => roundedNear(pixels, task.image, reach));
  const image = await Promise.race([found, ended]);
  return { image, gradients: calls.gradients, forward: calls.forward };
}

/** An attack spends its whole budget: it is the defended label that ends it. */
function parametersOf(attack: string, { epsilon, steps, queries }: LadderBudget): Readonly<Record<string, unknown>> {
  switch (attack) {
    case 'square':
      return { epsilon, queries };
    case 'spsa':
      return { epsilon, steps: Math.ceil(queries / (2 * SPSA_PAIRS)), samples: SPSA_PAIRS, form: 'full' };
    case 'hopskipjump':
      return { queries };
    case 'pgd':
      return { epsilon, steps, step: epsilon / 4, form: 'full' };
    default:
      return { epsilon, steps, form: 'full' };
  }
}

/** Each value moved up or down by epsilon. */
function noisy(image: RgbImage, reach: Reach, seed: string): RgbImage {
  const random = runRandom(`${seed} noise`, contentHash(image), 0);
  const pixels = toPlanar(image).map(value => value + (random.uniform() < 0.5 ? -1 : 1) * reach.epsilon);
  return roundedNear(pixels, image, reach);
}
