/**
 * Searches a model's recipe on the search split, and holds what it found against the paper's and the rivals on the test split.
 *
 *     candidates ── rounds of successive halving ──▶ the best ── if asked, curves of figure 5 around it ──▶ winner ──▶ test
 */
import type { Recipe } from '../../config/recipes.js';
import { CLEAN, COMPARED_ATTACKS } from '../attack-case.js';
import { type DefenceCase, JPEG, PAPER, rival, SHRINKAGE } from '../defence-case.js';
import { type DetectorSummary, detectorOf } from '../detector.js';
import type { Demand, Measured } from '../protocol.js';
import { type Case, type Comparison, compare } from '../rates.js';
import type { Sample } from '../sample.js';
import { rightness, type Standing, scoreOf, standingOf } from './score.js';
import { type Candidate, drawCandidates, neighboursOf, type Swept, VOTES } from './space.js';
import { best, type Round, roundsOf } from './successive-halving.js';

export interface SearchPlan {
  readonly candidates: number;
  /** Images of the search split in the last round. */
  readonly images: number;
  /** Images of the test split. */
  readonly testImages: number;
  /** Share of clean labels that a recipe may lose. */
  readonly maxCleanLoss: number;
  /** Whether sigma, window and deflections are moved around the best candidate. */
  readonly curves: boolean;
  /** Of the draws of candidates. */
  readonly seed: string;
}

/** A candidate with the vote that serves it best, as far as it was tried. */
export interface Entry {
  readonly id: string;
  readonly origin: string;
  readonly recipe: Recipe;
  /** Images of the search split that it was tried on. */
  readonly images: number;
  readonly standing: Standing;
  readonly score: number;
}

/** One point of a curve of figure 5. */
export interface CurvePoint extends Entry {
  readonly swept: Swept;
  readonly value: number;
}

/** One defence on the test split, and the winner against it. */
export interface TestRow {
  readonly id: string;
  readonly title: string;
  readonly recipe: Recipe;
  readonly standing: Standing;
  /** McNemar's test of the winner (first) against it (second), on clean images and on those that attacks fooled. */
  readonly against: { readonly clean: Comparison; readonly fooled: Comparison } | undefined;
  /** What the disagreement of its runs detects. */
  readonly detector: DetectorSummary | undefined;
}

export interface SearchResult {
  readonly rounds: readonly Round[];
  /** All candidates, best first: those that came further first. */
  readonly entries: readonly Entry[];
  readonly curves: readonly CurvePoint[];
  readonly winner: Entry;
  /** On images that nothing was chosen by; the winner first. */
  readonly test: readonly TestRow[];
}

/** Told how a search goes on; must not throw. */
export interface SearchObserver {
  round?(number: number, of: number, round: Round): void;
}

/** What was measured, as far as a search looks at it. */
export type MeasuredCases = Pick<Measured, 'cases'>;

/** Has defences measured; `undefined` where it was asked to stop. */
export type Measure = (demands: readonly Demand[]) => Promise<MeasuredCases | undefined>;

const ATTACKS = COMPARED_ATTACKS.map(({ attack }) => attack);

/** Images of the first round. */
const FIRST_IMAGES = 12;

/** Clean images for each attacked one: the cap is a small difference of large shares. */
const CLEAN_FACTOR = 4;

/** What the winner is held against: the rivals of Table 4 that cost no more than a defence, and JPEG. */
const RIVALS: readonly DefenceCase[] = [
  rival('Bit depth, 5 bits', 'bits:5'),
  rival('Median 2x2', 'median:2'),
  rival('Median 3x3', 'median:3'),
  rival('Random resizing and padding', 'resizepad'),
  JPEG,
  rival('JPEG, quality 30', 'jpeg:30'),
  rival('JPEG of random quality, cropped', 'randomjpeg:15-40,crop:0.93-0.98'),
  SHRINKAGE,
];

/** @returns `undefined` where it was asked to stop: what was measured is kept, and calling it again goes on there */
export async function searchRecipe(
  plan: SearchPlan,
  measure: Measure,
  observer: SearchObserver = {},
): Promise<SearchResult | undefined> {
  const rounds = roundsOf(plan.candidates, plan.images, FIRST_IMAGES);
  let left: readonly Candidate[] = drawCandidates(plan.candidates, plan.seed);
  const entries = new Map<string, Entry>();
  const all = rounds.length + (plan.curves ? 2 : 1);
  for (const [n, round] of rounds.entries()) {
    observer.round?.(n + 1, all, { ...round, candidates: left.length });
    const tried = await tryAll(left, round.images, plan, measure);
    if (tried === undefined) return undefined;
    // Those that came no further stay behind all that did.
    for (const entry of tried) entries.set(entry.id, entry);
    const next = rounds[n + 1]?.candidates ?? 1;
    const order = best(tried, next, ({ score }) => score).map(({ id }) => id);
    left = order.map(id => left.find(candidate => candidate.id === id)!);
  }
  const neighbours = plan.curves ? neighboursOf(left[0]!) : [];
  if (plan.curves) {
    observer.round?.(rounds.length + 1, all, { candidates: neighbours.length, images: plan.images });
  }
  const swept = neighbours.length > 0 ? await tryAll(neighbours, plan.images, plan, measure) : [];
  if (swept === undefined) return undefined;
  const curves = swept.map((entry, i) => ({ ...entry, swept: neighbours[i]!.swept, value: neighbours[i]!.value }));
  const [winner] = best([entries.get(left[0]!.id)!, ...swept], 1, ({ score }) => score);
  observer.round?.(all, all, { candidates: RIVALS.length + 2, images: plan.testImages });
  const test = await testWinner(winner!, plan, measure);
  if (test === undefined) return undefined;
  const ranked = best([...entries.values()], entries.size, ({ images, score }) => images * 10 + score);
  return { rounds, entries: ranked, curves, winner: winner!, test };
}

const searchSample = (images: number): Sample => ({ split: 'search', images, model: 0 });
const testSample = (images: number): Sample => ({ split: 'test', images, model: 0 });

function casesOf(candidate: Pick<Candidate, 'id' | 'settings'>): readonly DefenceCase[] {
  return VOTES.map(vote => ({
    id: `${candidate.id} ${vote.vote} ${vote.trust}`,
    title: candidate.id,
    settings: { ...candidate.settings, ...vote },
  }));
}

/** Tries candidates under all votes; each with the vote that scores best. */
async function tryAll(
  candidates: readonly Candidate[],
  images: number,
  { maxCleanLoss }: SearchPlan,
  measure: Measure,
): Promise<readonly Entry[] | undefined> {
  const defences = candidates.flatMap(casesOf);
  const samples = { attacked: searchSample(images), clean: searchSample(CLEAN_FACTOR * images) };
  const measured = await measure(demandsOf(samples, defences));
  if (measured === undefined) return undefined;
  return candidates.map(candidate => {
    const voted = casesOf(candidate).map(({ settings, id, title }) => {
      const standing = standingUnder(measured, samples, { id, title, settings });
      return { ...candidate, recipe: settings, images, standing, score: scoreOf(standing, maxCleanLoss) };
    });
    const [{ id, origin, recipe, standing, score }] = best(voted, 1, one => one.score) as [(typeof voted)[number]];
    return { id, origin, recipe, images, standing, score };
  });
}

interface Samples {
  readonly attacked: Sample;
  readonly clean: Sample;
}

function demandsOf({ attacked, clean }: Samples, defences: readonly DefenceCase[]): readonly Demand[] {
  return [
    { sample: clean, attacks: [CLEAN], defences },
    { sample: attacked, attacks: ATTACKS, defences },
  ];
}

function found(measured: MeasuredCases, { attacked, clean }: Samples, defence: DefenceCase) {
  return {
    clean: measured.cases(clean, CLEAN, defence),
    attacked: Object.fromEntries(
      ATTACKS.map(attack => [attack.id, measured.cases(attacked, attack, defence)]),
    ) as Record<string, readonly Case[]>,
  };
}

function standingUnder(measured: MeasuredCases, samples: Samples, defence: DefenceCase): Standing {
  const { clean, attacked } = found(measured, samples, defence);
  return standingOf(clean, attacked);
}

async function testWinner(
  winner: Entry,
  { testImages }: SearchPlan,
  measure: Measure,
): Promise<readonly TestRow[] | undefined> {
  const samples = { attacked: testSample(testImages), clean: testSample(testImages) };
  const first: DefenceCase = { id: 'winner', title: 'What was found', settings: winner.recipe };
  const all = [first, PAPER, ...RIVALS];
  const measured = await measure(demandsOf(samples, all));
  if (measured === undefined) return undefined;
  const ours = found(measured, samples, first);
  const right = rightness(ours.clean, ours.attacked);
  return all.map(defence => {
    const { clean, attacked } = found(measured, samples, defence);
    const other = rightness(clean, attacked);
    return {
      id: defence.id,
      title: defence.title,
      recipe: defence.settings,
      standing: standingOf(clean, attacked),
      against:
        defence === first
          ? undefined
          : { clean: compare(right.clean, other.clean), fooled: compare(right.fooled, other.fooled) },
      detector: detectorOf(clean, Object.values(attacked).flat()),
    };
  });
}
