/** What a report says, before it takes the form of Markdown, CSV, JSON or a page. */
import type { TopLevelSpec } from 'vega-lite';
import type { Rate } from './rates.js';

/** A table's entry. `paper`: what the paper has there. */
export type Entry =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'rate'; readonly rate: Rate; readonly paper: number | null }
  | { readonly kind: 'number'; readonly value: number | null; readonly digits: number; readonly paper: number | null }
  | { readonly kind: 'empty' };

export interface Row {
  readonly title: string;
  /** Rows of one group stand together under its title. */
  readonly group?: string;
  /** The row that a reader looks for. */
  readonly marked?: boolean;
  /** One for each column. */
  readonly entries: readonly Entry[];
}

export interface Table {
  /** Unique in the report. */
  readonly id: string;
  readonly title: string;
  /** Of the rows' titles. */
  readonly corner: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  readonly notes: readonly string[];
}

export interface Plot {
  readonly id: string;
  readonly title: string;
  /** What the plot shows, in a sentence, for those who do not see it. */
  readonly description: string;
  readonly spec: TopLevelSpec;
}

/** What one protocol has to say. */
export interface Section {
  /** The protocol's name. */
  readonly id: string;
  readonly title: string;
  readonly paragraphs: readonly string[];
  readonly tables: readonly Table[];
  readonly plots: readonly Plot[];
}

export const EMPTY: Entry = Object.freeze({ kind: 'empty' });

export function textEntry(text: string): Entry {
  return { kind: 'text', text };
}

/** @param paper as the paper prints it, in percent */
export function rateEntry(rate: Rate, paper?: number | undefined): Entry {
  return { kind: 'rate', rate, paper: paper === undefined ? null : paper / 100 };
}

export function numberEntry(value: number | null, digits: number, paper?: number | undefined): Entry {
  return { kind: 'number', value, digits, paper: paper ?? null };
}
