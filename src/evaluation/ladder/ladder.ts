/**
 * The adaptive ladder: images attacked on every rung, against one defence after another, on worker threads; what was done
 * is kept, so that a ladder goes on where it was left.
 *
 *     const rows = await runLadder(
 *       {
 *         model: 'efficientnet-lite0',
 *         runtime: 'auto',
 *         defences: [
 *           { name: 'paper', settings: resolveOptions({ recipe: 'paper', seed: '1' }).defence },
 *           { name: 'jpeg:75', settings: resolveOptions({ order: 'jpeg:75', seed: '1' }).defence },
 *         ],
 *         images,            // of the model's input size, as the fetch stage gives them, with their true classes
 *         budget: LADDER_BUDGET,
 *         seed: 'attacker',
 *         threads: 2,
 *         store: 'ladder-results',
 *       },
 *       { done: (result, total) => ... },
 *     );
 *
 * The seed of each defence's settings is what its votes are drawn by; attackers do not know it but on rung 9. Comparators
 * are defences whose order holds their step. The rows come in the order of `RUNGS`, defence by defence; images that the
 * undefended model gets wrong when clean count nowhere.
 */
import { createHash } from 'node:crypto';
import { comparatorSteps } from '../../comparators/order.js';
import { printDefence } from '../../config/settings.js';
import { isRandom, stepsOf } from '../../defense/order.js';
import { type DefenceSettings, PAPER_SETTINGS, usesMap } from '../../defense/settings.js';
import { invalid } from '../../errors.js';
import { openModel } from '../../models/registry.js';
import type { RgbImage } from '../../types.js';
import { TRIALS } from './attacker.js';
import type { Climb, LadderBudget } from './climber.js';
import { contentHash } from './defended-model.js';
import { LadderPool } from './ladder-pool.js';
import { LADDER_SCHEMA, type LadderResult, type LadderRow, ladderRows } from './ladder-result.js';
import { ResultStore } from './result-store.js';
import { type Access, RUNGS, type Rung } from './rungs.js';

export interface LadderDefence {
  /** As rows call it. */
  readonly name: string;
  /** With the seed of its votes; `at` counts as `model`. */
  readonly settings: DefenceSettings;
  /** Ids of the rungs that it is put to; default: all. */
  readonly rungs?: ReadonlySet<string> | undefined;
}

export interface LadderImage {
  readonly key: string;
  /** Of the model's input size. */
  readonly pixels: RgbImage;
  /** The true class. */
  readonly label: number;
}

export interface LadderRequest {
  /** Name or folder of the model. */
  readonly model: string;
  readonly runtime: string;
  /** Name or folder of the model of rung 8; without it that rung is left out. */
  readonly surrogate?: string | undefined;
  readonly defences: readonly LadderDefence[];
  readonly images: readonly LadderImage[];
  readonly budget: LadderBudget;
  /** Seed of the attacker. */
  readonly seed: string;
  readonly threads: number;
  /** Folder of what was done before; without it nothing is kept. */
  readonly store?: string | undefined;
}

/** What is usual: 8/255, 40 steps, 500 questions. */
export const LADDER_BUDGET: LadderBudget = Object.freeze({ epsilon: 8 / 255, steps: 40, queries: 500 });

/** Told how a ladder goes on; must not throw. */
export interface LadderObserver {
  /** A result, kept ones included: how many there are of how many. */
  result?(result: LadderResult, done: number, total: number): void;
}

/** One cell of the ladder at one image. */
interface LadderTask {
  readonly defence: LadderDefence;
  readonly rung: Rung;
  /** Number of the image. */
  readonly image: number;
  readonly sha256: string;
  readonly climb: Climb;
  /** Digest of all that the result depends on beside the image. */
  readonly cell: string;
}

/**
 * Climbs the ladder.
 *
 * @param signal asks it to stop: what is under attack is finished, and rows come of what is there
 * @returns rows, in the order of the defences and rungs, of those that have at least one image
 * @throws DeflectorError what opening the models throws; INFERENCE_FAILED; STORE_UNAVAILABLE; SETTINGS_INVALID for an
 *   image of another size than the model's and for an unknown rung
 */
export async function runLadder(
  request: LadderRequest,
  observer: LadderObserver = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<LadderRow[]> {
  const tasks = await tasksOf(request);
  const store = await ResultStore.open(request.store);
  const results: LadderResult[] = [];
  // Rungs that come to the same for a defence, as all numbers of draws do where it draws nothing, share their cell.
  const waiting = new Map<string, LadderTask[]>();
  const left: LadderTask[] = [];
  const finish = (task: LadderTask, result: LadderResult): void => {
    results.push({ ...result, ...namesOf(task, request) });
    observer.result?.(results.at(-1)!, results.length, tasks.length);
  };
  for (const task of tasks) {
    const kept = store.find(task.cell, task.sha256);
    const place = `${task.cell} ${task.sha256}`;
    const others = waiting.get(place);
    if (kept !== undefined) finish(task, kept);
    else if (others !== undefined) others.push(task);
    else {
      waiting.set(place, [task]);
      left.push(task);
    }
  }
  if (left.length > 0 && !signal.aborted) {
    const { model, runtime, surrogate = null } = request;
    const pool = await LadderPool.start({ model, runtime, surrogate }, Math.min(request.threads, left.length));
    try {
      await pool.climbAll(left, signal, async (task, made) => {
        const { sha256, climb } = task;
        const { key, ...names } = namesOf(task, request);
        const result: LadderResult = { schema: LADDER_SCHEMA, ...names, key, sha256, label: climb.label, ...made };
        await store.keep(task.cell, result);
        for (const same of waiting.get(`${task.cell} ${sha256}`)!) finish(same, result);
      });
    } finally {
      await pool.close();
    }
  }
  return ladderRows(
    request.defences.map(({ name }) => name),
    results,
  );
}

function namesOf({ defence, rung, image }: LadderTask, { images }: LadderRequest) {
  return { defence: defence.name, attack: rung.id, key: images[image]!.key };
}

/** All cells at all images, image by image. */
async function tasksOf(request: LadderRequest): Promise<LadderTask[]> {
  const { identity, preprocessing, labels } = await openModel(request.model);
  const other = request.surrogate === undefined ? undefined : await openModel(request.surrogate);
  if (other !== undefined && other.labels.length !== labels.length) {
    throw invalid('the surrogate', `a model of the same ${labels.length} classes`, `one of ${other.labels.length}`);
  }
  const surrogate = other?.identity;
  const { budget, seed } = request;
  const cells = request.defences.flatMap(defence => {
    const settings: DefenceSettings = { ...defence.settings, at: 'model' };
    return rungsOf(defence, surrogate !== undefined).map(rung => {
      const access = simplest(rung.access, settings);
      const attacked = { access, attack: rung.attack, budget, seed };
      const asked = access.kind === 'surrogate' ? surrogate!.sha256 : '';
      const whole = [
        LADDER_SCHEMA,
        identity.sha256,
        asked,
        unlikePaper(settings),
        attacked,
        ...triedBy(access, settings),
      ];
      const cell = createHash('sha256').update(JSON.stringify(whole)).digest('hex').slice(0, 32);
      return { defence, rung, cell, climb: { ...attacked, settings } };
    });
  });
  return request.images.flatMap(({ key, pixels, label }, image) => {
    const { width, height } = preprocessing;
    if (pixels.width !== width || pixels.height !== height) {
      throw invalid(`the image ${key}`, `${width} x ${height} pixels`, `${pixels.width} x ${pixels.height}`);
    }
    const sha256 = contentHash(pixels);
    return cells.map(({ climb, ...cell }) => ({ ...cell, image, sha256, climb: { ...climb, image: pixels, label } }));
  });
}

function draws(settings: DefenceSettings): boolean {
  return stepsOf(settings, comparatorSteps()).some(step => isRandom(step, settings));
}

/** How candidates are tried, where that is by votes that the attacker draws. */
function triedBy(access: Access, settings: DefenceSettings): readonly number[] {
  const tries = access.kind === 'queries' || (access.kind === 'white-box' && access.seed === 'secret');
  return tries && draws(settings) ? [TRIALS] : [];
}

/** What differs from the paper's settings: what was done stays good where a setting is added that changes nothing. */
function unlikePaper(settings: DefenceSettings): readonly unknown[] {
  const usual = printDefence({ ...PAPER_SETTINGS, seed: '' });
  return Object.entries(printDefence(settings)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(usual[name]),
  );
}

function rungsOf({ rungs, settings }: LadderDefence, surrogate: boolean): readonly Rung[] {
  for (const id of rungs ?? []) {
    if (RUNGS.every(rung => rung.id !== id)) throw invalid('rungs', RUNGS.map(rung => rung.id).join(', '), id);
  }
  return RUNGS.filter(
    ({ id, access }) =>
      (rungs === undefined || rungs.has(id)) &&
      (surrogate || access.kind !== 'surrogate') &&
      (access.kind !== 'white-box' || access.map === 'clean' || usesMap(settings)),
  );
}

/** The same access without what makes no difference to a defence: draws where it draws nothing, a map where it has none. */
function simplest(access: Access, settings: DefenceSettings): Access {
  if (access.kind !== 'white-box' || draws(settings)) return access;
  return { ...access, draws: 1, freshness: 'fresh', objective: 'runs', seed: 'secret' };
}
