/** The paper's defence with one of its parameters varied; single runs, as the paper's tables of parameters have them. */
import type { DefenceSettings } from '../defense/settings.js';
import { type DefenceCase, variant } from './defence-case.js';

const one = (id: string, title: string, changes: Partial<DefenceSettings>): DefenceCase =>
  variant(id, title, { runs: 1, ...changes });

export const DEFLECTION_COUNTS = [10, 100, 1000, 10_000] as const;

export const WINDOWS = [5, 10, 50, 100] as const;

export function ofDeflections(deflections: number): DefenceCase {
  return one(`deflections-${deflections}`, `${deflections} deflections`, { deflections });
}

export function ofWindow(window: number, changes: Partial<DefenceSettings> = {}): DefenceCase {
  const id = Object.values(changes).join('-');
  return one(`window-${window}${id === '' ? '' : `-${id}`}`, `window ${window}`, { window, ...changes });
}

export function ofSigma(sigma: number): DefenceCase {
  return one(`sigma-${sigma}`, `sigma ${sigma}`, { sigma });
}
