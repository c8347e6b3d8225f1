/** Parameters that several attacks share. Strengths are on the [0,1] scale. */
import { fraction, integer, number, oneOf } from '../config/value-types.js';
import { type Parameter, parameter } from './attack.js';

/** Largest change of a value; 8/255 is the field's usual strength on photographs. */
export function epsilon(fallback = 8 / 255): Parameter<number> {
  return parameter(fraction(0, 1), fallback, 'largest change of a value, on the [0,1] scale; also as 8/255');
}

export function steps(fallback: number): Parameter<number> {
  return parameter(integer(1, 100_000), fallback, 'most steps');
}

/** Both forms of an iterative attack: how far past the boundary it goes decides much of what a defence recovers. */
export const form = parameter(
  oneOf(['minimal', 'full']),
  'minimal',
  'stop when the model is fooled, or spend the budget',
);

/** The margin that counts as success; above 0 is the full form of an attack that minimises a distance. */
export const confidence = parameter(
  number(0, 1000),
  0,
  'margin in scores by which another class must win; 0 is the minimal form',
);

/** The smallest perturbations vanish when they are rounded: a search that minimises must look at what is written. */
export const judge = parameter(
  oneOf(['rounded', 'exact']),
  'rounded',
  'what must fool the model: the image in 8 bits, or the exact pixels as published',
);
