/** All protocols by name. */

import { invalid } from '../../errors.js';
import { suggest } from '../../suggest.js';
import type { Protocol } from '../protocol.js';
import { figure1 } from './figure1.js';
import { figure2 } from './figure2.js';
import { figure3 } from './figure3.js';
import { figure5 } from './figure5.js';
import { figure6 } from './figure6.js';
import { figure7 } from './figure7.js';
import { ladder } from './ladder.js';
import { strength } from './strength.js';
import { table1 } from './table1.js';
import { table2 } from './table2.js';
import { table3 } from './table3.js';
import { table4 } from './table4.js';
import { table5 } from './table5.js';
import { table6 } from './table6.js';
import { table7 } from './table7.js';
import { table8 } from './table8.js';
import { table9 } from './table9.js';

/** One a table or figure, in the order of a report. */
const SINGLE: readonly Protocol[] = [
  table1,
  table2,
  table3,
  table4,
  table5,
  table6,
  table7,
  table8,
  table9,
  figure1,
  figure2,
  figure3,
  figure5,
  figure6,
  figure7,
  strength,
  ladder,
];

/** Protocols that stand for several. */
const SETS: Readonly<Partial<Record<string, { readonly members: readonly string[]; readonly images: number }>>> = {
  paper: { members: SINGLE.map(({ name }) => name), images: 200 },
  smoke: { members: ['table1', 'table5', 'figure3', 'figure6'], images: 8 },
};

/** Images of the main tables, where nobody says how many. */
const DEFAULT_IMAGES = 200;

export interface ChosenProtocols {
  readonly protocols: readonly Protocol[];
  readonly images: number;
}

/** Images that were made elsewhere: no protocol attacks them. */
export const EXTERNAL = 'external';

const NAMES: readonly string[] = [...SINGLE.map(({ name }) => name), ...Object.keys(SETS), EXTERNAL];

/**
 * @param text a name, or several joined by commas
 * @throws DeflectorError SETTINGS_INVALID
 */
export function protocolsCalled(text: string): ChosenProtocols {
  const sets = text.split(',').map(name => called(name.trim()));
  const members = new Set(sets.flatMap(set => set.members));
  return {
    protocols: SINGLE.filter(({ name }) => members.has(name)),
    images: Math.max(...sets.map(({ images }) => images)),
  };
}

function called(name: string): { readonly members: readonly string[]; readonly images: number } {
  const set = SETS[name];
  if (set !== undefined) return set;
  if (SINGLE.some(protocol => protocol.name === name)) return { members: [name], images: DEFAULT_IMAGES };
  const meant = suggest(name, NAMES);
  const hint = meant === undefined ? '' : ` (did you mean ${meant}?)`;
  throw invalid('PROTOCOL', `one of ${NAMES.join(', ')}${hint}`, name);
}
