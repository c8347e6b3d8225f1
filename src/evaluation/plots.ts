/** The kinds of plot that a report has, as Vega-Lite specifications. Colours tell the colour-blind apart, too. */
import type { TopLevelSpec } from 'vega-lite';
import type { Rate } from './rates.js';

/** Okabe and Ito's colours, but for yellow, which is too light for a line on white. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#777777', '#8a5a2b'];

const GREY = '#8a8f96';

/** Legible on white and on black: the page says what colour text has. */
const CONFIG = {
  background: 'transparent',
  // Descriptions of single marks would be most of the file; each plot has one of its own.
  aria: false,
  font: 'system-ui, sans-serif',
  view: { stroke: null },
  range: { category: COLOURS },
  axis: {
    gridColor: GREY,
    gridOpacity: 0.25,
    domainColor: GREY,
    tickColor: GREY,
    labelFontSize: 11,
    titleFontSize: 11,
  },
  header: { labelFontSize: 12, titleFontSize: 12 },
  legend: {
    labelFontSize: 11,
    titleFontSize: 11,
    orient: 'bottom',
    labelLimit: 260,
    columns: 3,
    symbolOpacity: 1,
  },
} as const;

type PanelSpec = Extract<TopLevelSpec, { facet: unknown }>['spec'];

/** A plot for each value of `panel`, in the order given, side by side; one alone needs no name beside the plot's title. */
function inPanels<T extends { readonly panel: string }>(
  values: readonly T[],
  columns: number,
  spec: (panels: number) => PanelSpec,
): TopLevelSpec {
  const panels = [...new Set(values.map(({ panel }) => panel))];
  const whole = { data: { values: [...values] }, config: CONFIG };
  if (panels.length === 1) return { ...spec(1), ...whole };
  const facet = { field: 'panel', type: 'nominal' as const, title: null, sort: panels };
  return { ...whole, facet, columns: Math.min(columns, panels.length), spec: spec(panels.length) };
}

/** 0.04 and 5k: prefixes for thousands alone. */
function tickFormat(ticks: readonly number[]): string {
  return ticks.some(tick => tick > 0 && tick < 1) ? '.3~g' : '~s';
}

/** A measured share at a place of a line. */
export interface LinePoint {
  readonly x: number;
  readonly series: string;
  readonly panel: string;
  readonly rate: Rate;
}

export interface LineAxes {
  readonly x: string;
  readonly y: string;
  readonly logarithmic?: boolean;
}

/** Shares of images along a parameter, with their intervals; a panel for each value of `panel`, in the order given. */
export function lines(points: readonly LinePoint[], { x, y, logarithmic = false }: LineAxes): TopLevelSpec {
  const values = points.map(({ rate, ...point }) => ({ ...point, rate: rate.rate, low: rate.low, high: rate.high }));
  const ticks = [...new Set(points.map(point => point.x))].sort((a, b) => a - b);
  const scale = logarithmic ? { type: 'log' as const } : { zero: true };
  const across = {
    field: 'x',
    type: 'quantitative' as const,
    title: x,
    scale,
    axis: { values: ticks, grid: false, format: tickFormat(ticks) },
  };
  const colour = {
    field: 'series',
    type: 'nominal' as const,
    title: null,
    sort: [...new Set(points.map(({ series }) => series))],
  };
  const up = { type: 'quantitative' as const, scale: { domain: [0, 1] } };
  return inPanels(values, 2, panels => ({
    width: panels > 1 ? 300 : 480,
    height: 220,
    layer: [
      {
        mark: { type: 'rule', opacity: 0.5, strokeWidth: 1.5 },
        encoding: {
          x: across,
          y: { field: 'low', ...up, title: y, axis: { format: '%' } },
          y2: { field: 'high' },
          color: colour,
        },
      },
      {
        mark: { type: 'line', point: { size: 36 }, strokeWidth: 1.75 },
        encoding: { x: across, y: { field: 'rate', ...up, title: y }, color: colour },
      },
    ],
  }));
}

/** A measured share of a row, and what the paper has there. */
export interface DotPoint {
  readonly row: string;
  readonly series: string;
  readonly panel: string;
  readonly rate: Rate;
  /** A share, printed elsewhere, without an interval. */
  readonly paper?: number | undefined;
}

/** Shares by row, with intervals; hollow diamonds are the paper's. */
export function dots(points: readonly DotPoint[], axis: string): TopLevelSpec {
  const values = points.map(({ rate, paper, ...point }) => ({
    ...point,
    rate: rate.rate,
    low: rate.low,
    high: rate.high,
    paper: paper ?? null,
  }));
  const rows = [...new Set(points.map(({ row }) => row))];
  const series = [...new Set(points.map(point => point.series))];
  const down = { field: 'row', type: 'nominal' as const, title: null, sort: rows, axis: { labelLimit: 600 } };
  const offset = { field: 'series', type: 'nominal' as const, sort: series };
  const legend = series.length > 1 ? {} : { legend: null };
  const colour = { field: 'series', type: 'nominal' as const, title: null, sort: series, ...legend };
  const across = { type: 'quantitative' as const, scale: { domain: [0, 1] }, title: axis };
  return inPanels(values, 3, panels => ({
    width: panels > 1 ? 190 : 420,
    height: { step: series.length > 1 ? 8 : 16 },
    layer: [
      {
        mark: { type: 'rule', strokeWidth: 2, opacity: 0.55 },
        encoding: {
          y: down,
          yOffset: offset,
          x: { field: 'low', ...across, axis: { format: '%', tickCount: 4 } },
          x2: { field: 'high' },
          color: colour,
        },
      },
      {
        mark: { type: 'point', filled: true, size: 34 },
        encoding: { y: down, yOffset: offset, x: { field: 'rate', ...across }, color: colour },
      },
      {
        transform: [{ filter: 'isValid(datum.paper)' }],
        mark: { type: 'point', shape: 'diamond', size: 42, filled: false },
        encoding: { y: down, yOffset: offset, x: { field: 'paper', ...across }, color: colour },
      },
    ],
  }));
}

/** A grid of values for each panel, square, row by row. */
export interface HeatPanel {
  readonly panel: string;
  readonly values: readonly number[];
}

/** Where something is in an image: panels side by side, each on its own scale from nothing to its most. */
export function heatMaps(panels: readonly HeatPanel[]): TopLevelSpec {
  const values = panels.flatMap(({ panel, values: grid }) => {
    const side = Math.sqrt(grid.length);
    const most = Math.max(...grid, Number.MIN_VALUE);
    return grid.map((value, i) => ({ panel, row: Math.floor(i / side), column: i % side, value: value / most }));
  });
  return inPanels(values, 4, () => ({
    width: 112,
    height: 112,
    mark: 'rect',
    encoding: {
      x: { field: 'column', type: 'ordinal', axis: null },
      y: { field: 'row', type: 'ordinal', axis: null },
      color: { field: 'value', type: 'quantitative', scale: { scheme: 'magma', domain: [0, 1] }, legend: null },
    },
  }));
}

export interface StackPart {
  readonly row: string;
  readonly part: string;
  readonly panel: string;
  /** In [0, 1]; those of a row add to 1. */
  readonly share: number;
}

/** How each row divides into parts, in the order in which parts come. */
export function stacks(parts: readonly StackPart[], axis: string): TopLevelSpec {
  const names = [...new Set(parts.map(({ part }) => part))];
  const values = parts.map(part => ({ ...part, order: names.indexOf(part.part) }));
  return inPanels(values, 2, () => ({
    width: 300,
    height: { step: 20 },
    mark: 'bar',
    encoding: {
      y: { field: 'row', type: 'nominal', title: null, sort: [...new Set(parts.map(({ row }) => row))] },
      x: { field: 'share', type: 'quantitative', title: axis, axis: { format: '%' }, scale: { domain: [0, 1] } },
      color: { field: 'part', type: 'nominal', title: null, sort: names, scale: { scheme: 'viridis' } },
      order: { field: 'order', type: 'quantitative' },
    },
  }));
}

/** Values that are no shares, along a parameter. */
export interface CurvePoint {
  readonly x: number;
  readonly series: string;
  readonly panel: string;
  readonly y: number;
}

export function curves(points: readonly CurvePoint[], { x, y, logarithmic = false }: LineAxes): TopLevelSpec {
  const ticks = [...new Set(points.map(point => point.x))].sort((a, b) => a - b);
  return inPanels(points, 3, panels => ({
    width: panels > 1 ? 220 : 420,
    height: 200,
    mark: { type: 'line', point: { size: 36 }, strokeWidth: 1.75 },
    encoding: {
      x: {
        field: 'x',
        type: 'quantitative',
        title: x,
        scale: logarithmic ? { type: 'log' } : { zero: true },
        axis: { values: ticks, grid: false, format: tickFormat(ticks) },
      },
      y: { field: 'y', type: 'quantitative', title: y, scale: { zero: true } },
      color: {
        field: 'series',
        type: 'nominal',
        title: null,
        sort: [...new Set(points.map(({ series }) => series))],
      },
    },
  }));
}
