/** Entries of tables in words. */
import type { Rate } from '../../evaluation/rates.js';
import type { Entry } from '../../evaluation/report-content.js';

/** A share as figures print it: `83.5 %`, `–` where nothing is counted. */
export function shareText(share: number | null): string {
  return share === null ? '–' : `${(100 * share).toFixed(1)} %`;
}

/** `77.9–88.0, n 200` */
export function intervalText({ low, high, n }: Rate): string {
  return low === null || high === null ? `n ${n}` : `${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)}, n ${n}`;
}

export function numberText(value: number | null, digits: number): string {
  return value === null ? '–' : value.toFixed(digits);
}

/** What the paper has in the place of an entry; `undefined` where it has nothing. */
export function paperText(entry: Entry): string | undefined {
  if (entry.kind === 'rate') return entry.paper === null ? undefined : `${Number((100 * entry.paper).toFixed(2))} %`;
  return entry.kind === 'number' && entry.paper !== null ? String(entry.paper) : undefined;
}
