/** Parameters of an attack, from what a user wrote: each checked by the type of its table. */
import type { Printed } from '../config/value-types.js';
import { invalid } from '../errors.js';
import type { Attack, Parameter } from './attack.js';

/**
 * One value for each parameter.
 *
 * @param given values by parameter name, as text or typed; what is absent takes its default
 * @param called how a message calls a parameter
 * @throws DeflectorError SETTINGS_INVALID for a value out of its range
 */
export function resolveParameters(
  attack: Attack,
  given: Readonly<Record<string, unknown>>,
  called: (name: string) => string = name => name,
): Readonly<Record<string, unknown>> {
  const entries = Object.entries(attack.parameters).map(([name, { type, fallback }]) => {
    if (given[name] === undefined) return [name, fallback];
    const value = type.parse(given[name]);
    if (value === undefined) throw invalid(called(name), type.expected, given[name]);
    return [name, value];
  });
  return Object.freeze(Object.fromEntries(entries));
}

/** Parameters as JSON; read again they are the same. */
export function printParameters(attack: Attack, values: Readonly<Record<string, unknown>>): Record<string, Printed> {
  const printed: Record<string, Printed> = {};
  for (const [name, { type }] of Object.entries<Parameter<unknown>>(attack.parameters)) {
    const value = type.print(values[name]);
    if (value !== undefined) printed[name] = value;
  }
  return printed;
}
