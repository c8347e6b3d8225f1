/** What a defence is worth: how much it puts right under attack, and what it costs on clean images. */
import { type Case, cellOf, isRight, type Rate } from '../rates.js';
import { type Interval, jackknifeInterval } from '../statistics.js';

/** One defence on one sample. */
export interface Standing {
  /** Destruction rate of the vote by attack: of the images that the attack fools, those that are put right. */
  readonly attacks: Readonly<Record<string, Rate>>;
  /** Mean of the destruction rates over the attacks. */
  readonly mean: number;
  /** 95 %, by the jackknife over photographs: the attacked images of one photograph stand and fall together. */
  readonly interval: Interval;
  /** Of the clean images that the undefended model gets right, those whose label is kept. */
  readonly clean: Rate;
}

/**
 * @param clean cases of the clean images
 * @param attacked cases by attack, at least one; the lists are of the same photographs in the same order
 */
export function standingOf(clean: readonly Case[], attacked: Readonly<Record<string, readonly Case[]>>): Standing {
  const attacks = Object.fromEntries(
    Object.entries(attacked).map(([attack, cases]) => [attack, cellOf(cases).destroyedVote]),
  );
  const lists = Object.values(attacked);
  const photographs = Math.max(...lists.map(({ length }) => length));
  const mean = meanRate(lists);
  const interval = jackknifeInterval(mean, photographs, without => meanRate(lists, without));
  return { attacks, mean, interval, clean: cellOf(clean).vote };
}

/** Mean over the lists of the share of fooled images that are put right; of a list without any: 0. */
function meanRate(lists: readonly (readonly Case[])[], without?: number): number {
  let sum = 0;
  for (const cases of lists) {
    let [fooled, right] = [0, 0];
    for (let i = 0; i < cases.length; i++) {
      const { measurement } = cases[i]!;
      if (i === without || measurement.attacked === measurement.label) continue;
      fooled++;
      if (isRight(cases[i]!)) right++;
    }
    sum += fooled === 0 ? 0 : right / fooled;
  }
  return sum / lists.length;
}

/**
 * The number that candidates are ranked by: the mean destruction rate of those that keep enough clean labels; of all others
 * what they miss, below 0.
 *
 * @param maxCleanLoss share of clean labels that may be lost
 */
export function scoreOf({ mean, clean }: Standing, maxCleanLoss: number): number {
  const missing = 1 - maxCleanLoss - (clean.rate ?? 0);
  return missing > ROUNDING ? -missing : mean;
}

/** Shares are quotients. */
const ROUNDING = 1e-9;

/** Whether the vote was right, clean images first and then those of each attack that fooled the model. */
export function rightness(clean: readonly Case[], attacked: Readonly<Record<string, readonly Case[]>>) {
  const fooled = Object.values(attacked).flatMap(cases =>
    cases.filter(({ measurement: { attacked: label, label: truth } }) => label !== truth),
  );
  return { clean: clean.map(isRight), fooled: fooled.map(isRight) };
}
