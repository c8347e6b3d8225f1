/** What the figures say of a defence, in plain words: nothing here is said that was not measured. */
import { CLEAN, COMPARED_ATTACKS, MAIN_ATTACKS, type PaperAttack } from './attack-case.js';
import { DEFLECTION_MAP, type DefenceCase, PAPER } from './defence-case.js';
import type { Measured, Plan } from './protocol.js';
import { CHEAP_RIVALS } from './protocols/table4.js';
import { type Case, type Cell, cellOf, compare, isRight, median, type Rate, strengthOf } from './rates.js';
import { testSample } from './sample.js';

/** Accuracy above which an attack is said not to work. */
const WEAK = 0.3;

/**
 * @param protocols names of those whose demands were met
 * @returns paragraphs
 */
export function modelCard(measured: Measured, plan: Plan, protocols: ReadonlySet<string>): string[] {
  if (!protocols.has('table1')) {
    return [
      'The protocols of this evaluation say too little for a summary: `table1` measures what the defence does under attack, `table4` what others do, `ladder` what an attacker who knows of it is left with.',
    ];
  }
  return [
    ...tableOne(measured, plan),
    ...(protocols.has('table4') ? [rivals(measured, plan), ...deflectionAlone(measured, plan)] : []),
    ...(protocols.has('ladder') ? ladderLow(measured, plan) : []),
    'The figures of attacks that do not know of the defence say nothing about one who does: an attacker who goes through the defence and averages over its randomness wins.',
  ];
}

function tableOne(measured: Measured, plan: Plan): string[] {
  const sample = testSample(plan.images);
  const cells = (defence: DefenceCase, attack: PaperAttack['attack']) => measured.cases(sample, attack, defence);
  const clean = cellOf(cells(PAPER, CLEAN));
  const attacked = MAIN_ATTACKS.map(({ attack }) => ({
    attack,
    cell: cellOf(cells(PAPER, attack)),
    margin: strengthOf(measured.measurements(sample, attack)).margin,
  }));
  const weak = attacked.filter(({ cell }) => (cell.undefended.rate ?? 0) > WEAK);
  const recovered = attacked
    .filter(({ cell }) => cell.destroyedVote.rate !== null)
    .sort((a, b) => b.cell.destroyedVote.rate! - a.cell.destroyedVote.rate!);
  const [best, worst] = [recovered[0], recovered.at(-1)];
  const undefended = attacked.map(({ cell }) => cell.undefended.rate ?? 0);
  const paragraphs = [
    `Clean images: with the paper's parameters the model keeps ${of(clean.vote)} of the labels that it gets right without a defence.${recommendedClean(measured, plan)}`,
    `Attacks: ${attacked.length} attacks that do not know of the defence leave the undefended model ${percent(Math.min(...undefended))} to ${percent(Math.max(...undefended))} of its labels.` +
      (weak.length === 0
        ? ''
        : ` ${list(weak.map(({ attack }) => attack.title))} ${weak.length === 1 ? 'is' : 'are'} weak here: more than 30 % stay right without any defence.`),
  ];
  if (best !== undefined && worst !== undefined) {
    paragraphs.push(
      `Recovery: of the images that were fooled, the paper's defence puts right between ${of(worst.cell.destroyedVote)} (${worst.attack.title}, median margin ${worst.margin?.toFixed(1)}) and ${of(best.cell.destroyedVote)} (${best.attack.title}, median margin ${best.margin?.toFixed(1)}).${recommendedRecovery(measured, plan)}`,
    );
  }
  const all = attacked.flatMap(({ attack }) => cells(PAPER, attack));
  const unanimous = all.filter(({ outcome }) => outcome.agreement === 1).length;
  const right = compare(
    all.map(isRight),
    all.map(({ measurement, outcome }) => outcome.first === measurement.label),
  );
  paragraphs.push(
    `Votes: on ${percent(unanimous / Math.max(all.length, 1))} of the attacked images all of the executed runs agree. Of ${all.length}, the vote of ten puts right ${right.onlyFirst} that its first run gets wrong, and loses ${right.onlySecond} that it gets right.`,
  );
  return paragraphs;
}

function recommendedClean(measured: Measured, { recommended, images }: Plan): string {
  if (recommended === undefined) return '';
  const cell = cellOf(measured.cases(testSample(images), CLEAN, recommended));
  return ` The recipe that is recommended for this model (its settings: under 'How it was made') keeps ${of(cell.vote)}.`;
}

function recommendedRecovery(measured: Measured, { recommended, images }: Plan): string {
  if (recommended === undefined) return '';
  const cells = MAIN_ATTACKS.map(({ attack }) => cellOf(measured.cases(testSample(images), attack, recommended)));
  const rates = cells.flatMap(({ destroyedVote }) => destroyedVote.rate ?? []);
  if (rates.length === 0) return '';
  return ` The recommended recipe: ${percent(Math.min(...rates))} to ${percent(Math.max(...rates))}, ${percent(mean(rates))} on average.`;
}

/** The defence against those rivals that were tried on all images. */
function rivals(measured: Measured, plan: Plan): string {
  const candidate = plan.recommended ?? PAPER;
  const [own, ...others] = [candidate, ...CHEAP_RIVALS, ...(plan.recommended === undefined ? [] : [PAPER])].map(
    defence => ({ defence, ...comparedOn(measured, plan, defence) }),
  );
  const { mean: mine, clean } = own!;
  const asClean = others.filter(other => (other.clean.rate ?? 0) >= (clean.rate ?? 0));
  const ahead = asClean.filter(other => other.mean > mine).sort((a, b) => b.mean - a.mean);
  const named = (some: typeof others) =>
    list(some.map(({ defence, mean: share }) => `${defence.title} (${percent(share)})`));
  return (
    `Rivals: ${candidate.title} puts right ${percent(mine)} on the mean of six attacks and keeps ${percent(clean.rate ?? 0)} of the clean labels. ` +
    (asClean.length === 0
      ? 'No rival that was tried on all images keeps as many.'
      : ahead.length === 0
        ? `No rival that keeps as many puts right more: ${named(asClean)}.`
        : `Of the rivals that keep as many, ${named(ahead)} put${ahead.length === 1 ? 's' : ''} right more.`)
  );
}

function comparedOn(measured: Measured, plan: Plan, defence: DefenceCase): { mean: number; clean: Rate } {
  const cell = (attack: PaperAttack['attack']) => cellOf(measured.cases(testSample(plan.images), attack, defence));
  const rates = COMPARED_ATTACKS.map(({ attack }) => cell(attack).destroyedVote.rate ?? 0);
  return { mean: mean(rates), clean: cell(CLEAN).vote };
}

/** What is left where attackers know of the defence: neither the oblivious nor those by another model, nor noise. */
function ladderLow({ ladder }: Measured, plan: Plan): string[] {
  return (plan.recommended === undefined ? [PAPER] : [PAPER, plan.recommended]).flatMap(({ id, title }) => {
    const rows = ladder.filter(({ defence, rung }) => defence === id && rung !== 0 && rung !== 8 && rung !== 10);
    const low = Math.min(...rows.map(({ accuracy }) => accuracy));
    const [lowest, ...others] = rows.filter(({ accuracy }) => accuracy === low);
    if (lowest === undefined) return [];
    const { correctDefended, n, interval } = lowest;
    const many =
      others.length === 0 ? '' : `, and on ${others.length} further ${others.length === 1 ? 'rung' : 'rungs'}`;
    return [
      `Attackers who know of it: of ${title} ${correctDefended} of ${n} images are left right (${percent(interval.low)} to ${percent(interval.high)}) on the worst rung of the adaptive ladder, ${lowest.title}${many}.`,
    ];
  });
}

function deflectionAlone(measured: Measured, plan: Plan): string[] {
  const sample = testSample(plan.images, 0.25);
  const attack = MAIN_ATTACKS.find(({ attack: { id } }) => id === 'igsm-minimal')!.attack;
  const cases: readonly Case[] = measured.cases(sample, attack, DEFLECTION_MAP);
  const cell: Cell = cellOf(cases);
  const moved = mean(cases.map(({ outcome }) => outcome.moved));
  const margin = median(cases.map(({ measurement }) => measurement.margin));
  const shrunk = mean(measured.cases(sample, attack, PAPER).map(({ outcome }) => outcome.moved));
  return [
    `Why it differs from the paper's ResNet-50: a run of deflection alone moves a score of this model by ${moved.toFixed(3)} on average, while ${attack.title} has put the wrong class ${margin?.toFixed(1)} above the true one (median); so deflection alone puts right ${of(cell.destroyedVote)}. With shrinkage a score moves by ${shrunk.toFixed(2)}: what recovers is the shrinkage.`,
  ];
}

/** `83.5 % (77.9 to 88.0)` */
function of({ rate, low, high }: Rate): string {
  if (rate === null || low === null || high === null) return 'none';
  return `${percent(rate)} (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;
}

function list(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
