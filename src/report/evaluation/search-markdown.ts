/** The report of a search as Markdown. */
import { RECIPE_NAMES } from '../../config/recipes.js';
import type { DetectorSummary, OperatingPoint } from '../../evaluation/detector.js';
import type { Comparison, Rate } from '../../evaluation/rates.js';
import type { Standing } from '../../evaluation/search/score.js';
import type { SearchReport } from '../../evaluation/search/search-report.js';
import type { Interval } from '../../evaluation/statistics.js';
import { describeDefence } from '../describe-defence.js';

/** Candidates shown; the JSON holds all. */
const SHOWN = 12;

export function searchMarkdown(report: SearchReport): string {
  const { model, plan, winner, test, entries, curves } = report;
  const attacks = Object.keys(winner.standing.attacks);
  const [first] = test;
  const cap = percent(1 - plan.maxCleanLoss);
  const parts = [
    `# Recipe search: ${model.name}`,
    `Chosen on the search split: of ${plan.candidates} candidates, the one that puts most attacked images right with at least ` +
      `${cap} of clean labels kept (mean destruction rate over ${attacks.length} attacks). ` +
      'Reported on the test split, which nothing was chosen by. Only images that the undefended model gets right when clean count; ' +
      'rates under attack are of those that the attack fools. Intervals: 95 %; Wilson, of the mean jackknife over photographs.',
    `**${describeDefence(winner.recipe)}**${RECIPE_NAMES.includes(winner.origin) ? ` (runs as in recipe \`${winner.origin}\`)` : ''}`,
    code(flags(winner.recipe)),
    '## On the test split',
    table(
      ['Defence', 'Clean kept', ...attacks, 'Mean'],
      test.map(({ title, standing }) => [title, rate(standing.clean), ...cells(standing, attacks)]),
    ),
    first === undefined
      ? ''
      : `McNemar's exact test of what was found (first) against each other defence, images that only one of the two gets right:`,
    table(
      ['Against', 'Clean: only this', 'only the other', 'p', 'Attacked: only this', 'only the other', 'p'],
      test.flatMap(({ title, against }) =>
        against === undefined ? [] : [[title, ...discordant(against.clean), ...discordant(against.fooled)]],
      ),
    ),
    'Attacked images of one photograph are not independent of each other: their p is a lower bound.',
    '## Detecting attacked images',
    'Score: 1 less the mean probability of the undefended label over the runs. AUC: the probability that an attacked image that ' +
      'fools the model scores higher than a clean one that it gets right; its interval is of DeLong, ' +
      'for images that are independent: attacks on one photograph are not, so take it for too narrow.',
    table(
      ['Defence', 'Clean', 'Attacked', 'AUC', 'Detected at 1 % false alarms', 'at 5 %', 'at 10 %'],
      test.flatMap(({ title, detector }) =>
        detector === undefined
          ? []
          : [[title, String(detector.clean), String(detector.attacked), area(detector), ...detector.at.map(detected)]],
      ),
    ),
    `## Candidates on the search split (best ${Math.min(SHOWN, entries.length)} of ${entries.length})`,
    table(
      ['Recipe', 'Images', 'Clean kept', ...attacks, 'Mean'],
      entries
        .slice(0, SHOWN)
        .map(({ recipe, images, standing }) => [
          describeDefence(recipe),
          String(images),
          rate(standing.clean),
          ...cells(standing, attacks),
        ]),
    ),
    ...(curves.length === 0 ? [] : curveParts(curves)),
    '## How it was made',
    code(report.command.join(' ')),
    `Model ${model.sha256}; seed ${plan.seed}; ${report.machine.cpu}, ${Math.round(report.ms / 1000)} s for what the cache did not hold; ` +
      `rounds ${report.rounds.map(({ candidates, images }) => `${candidates} on ${images} images`).join(', ')} of each attack, four times as many clean.`,
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function curveParts(curves: SearchReport['curves']): string[] {
  return [
    '## Sigma, window and deflections around the best candidate (figure 5 of the paper)',
    table(
      ['Parameter', 'Value', 'Vote', 'Clean kept', 'Mean'],
      curves.map(({ swept, value, recipe, standing }) => [
        swept,
        String(value),
        `${recipe.vote}, trust ${recipe.trust}`,
        rate(standing.clean),
        `${percent(standing.mean)} (${between(standing.interval)})`,
      ]),
    ),
  ];
}

/** A recipe as flags of `deflector run`. */
function flags(recipe: Readonly<Record<string, unknown>>): string {
  const shown = Object.entries(recipe).map(([name, value]) => {
    const flag = name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
    return `--${flag} ${Array.isArray(value) ? value.join(',') : value}`;
  });
  return `deflector run INPUT --out DIR ${shown.join(' ')}`;
}

function cells(standing: Standing, attacks: readonly string[]): string[] {
  const { mean, interval } = standing;
  return [...attacks.map(attack => rate(standing.attacks[attack])), `${percent(mean)} (${between(interval)})`];
}

function rate(of: Rate | undefined): string {
  if (of?.rate == null) return '-';
  return `${percent(of.rate)} (${of.correct}/${of.n}; ${between({ low: of.low ?? 0, high: of.high ?? 1 })})`;
}

function between({ low, high }: Interval): string {
  return `${percent(low)} to ${percent(high)}`;
}

function area({ auc, interval }: DetectorSummary): string {
  const shown = (x: number) => x.toFixed(3);
  return interval === null ? shown(auc) : `${shown(auc)} (${shown(interval.low)} to ${shown(interval.high)})`;
}

function detected({ detected, falseAlarms }: OperatingPoint): string {
  return `${percent(detected)} (at ${percent(falseAlarms)})`;
}

function discordant({ onlyFirst, onlySecond, p }: Comparison): string[] {
  return [String(onlyFirst), String(onlySecond), p < 0.001 ? p.toExponential(0) : p.toFixed(3)];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function code(text: string): string {
  return `    ${text}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
