/** What a search found, as `search.json` holds it. Field order is the order of the printed JSON. */
import type { ModelIdentity } from '../../types.js';
import type { CurvePoint, Entry, SearchPlan, TestRow } from './recipe-search.js';
import type { Round } from './successive-halving.js';

export const SEARCH_SCHEMA = 'deflector/search@1';

/** With its recipe as deflector.yaml takes it. */
type Printed<T> = Omit<T, 'recipe'> & { readonly recipe: Readonly<Record<string, unknown>> };

export interface SearchReport {
  readonly schema: typeof SEARCH_SCHEMA;
  readonly command: readonly string[];
  readonly model: ModelIdentity;
  readonly runtime: string;
  readonly data: { readonly source: string; readonly listed: number; readonly unusable: number };
  readonly plan: SearchPlan;
  readonly rounds: readonly Round[];
  readonly winner: Printed<Entry>;
  /** The winner first, then the paper's recipe, then rivals; on images that nothing was chosen by. */
  readonly test: readonly Printed<TestRow>[];
  readonly curves: readonly Printed<CurvePoint>[];
  readonly entries: readonly Printed<Entry>[];
  /** What the model's folder recommends now, where it was to be written. */
  readonly written: string | undefined;
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly ms: number;
}
