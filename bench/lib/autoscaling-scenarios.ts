/** Traces of arrivals, what comes of them in figures, and how that is drawn. */
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import type { Moment, Trace, World } from './autoscaling-simulation.js';

export interface Scenario {
  readonly name: string;
  /** One line, for the plot. */
  readonly title: string;
  readonly trace: Trace;
  readonly world: Partial<World>;
}

const HOUR = 3600;

/**
 * A pod of the chart's defaults: 4 cores, early stop `exact`, 42.1 images a second on two cores (docs/benchmarks.md, section
 * pipeline). A start of two minutes is one that has to wait for a machine.
 */
export const WORLD: World = {
  imagesPerSecond: 84,
  startSeconds: 120,
  chunk: 64,
  concurrency: 2,
  queueLimit: 1000,
  lockSeconds: 30,
};

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'steady',
    title: '300 images a second for two hours, from nothing',
    trace: { seconds: 2.5 * HOUR, arrivals: second => (second >= 300 && second < 300 + 2 * HOUR ? 300 : 0) },
    world: {},
  },
  {
    name: 'burst',
    title: 'Two jobs: 200,000 images at once after 5 minutes, 500,000 after 45',
    trace: {
      seconds: 1.5 * HOUR,
      arrivals: second => (second === 300 ? 200_000 : second === 2700 ? 500_000 : 0),
    },
    world: {},
  },
  {
    name: 'diurnal',
    title: 'A day: up to 600 images a second at noon, none at night',
    trace: {
      seconds: 24 * HOUR,
      arrivals: second => Math.max(0, 600 * Math.sin((Math.PI * (second / HOUR - 6)) / 12)),
    },
    world: {},
  },
  {
    name: 'spot-loss',
    title: '500 images a second; half of the pods lost after 40 minutes, all after 80',
    trace: {
      seconds: 2.5 * HOUR,
      arrivals: second => (second < 2 * HOUR ? 500 : 0),
      losses: second => (second === 2400 ? 0.5 : second === 4800 ? 1 : 0),
    },
    world: {},
  },
];

export interface Figures {
  readonly name: string;
  readonly images: number;
  /** Seconds that the oldest chunk had waited, at most and at 95 % of the seconds that had one. */
  readonly longestAge: number;
  readonly age95: number;
  readonly mostPods: number;
  readonly meanPods: number;
  readonly podHours: number;
  /** Share of the pods' time that the work would have taken at least. */
  readonly busy: number;
}

export function figures({ name }: Scenario, moments: readonly Moment[], { imagesPerSecond }: World): Figures {
  const sum = (value: (moment: Moment) => number) => moments.reduce((total, moment) => total + value(moment), 0);
  const ages = moments.filter(({ chunks }) => chunks > 0).map(({ age }) => age);
  ages.sort((a, b) => a - b);
  const podSeconds = sum(({ pods }) => pods);
  const images = sum(({ defended }) => defended);
  return {
    name,
    images,
    longestAge: ages.at(-1) ?? 0,
    age95: ages[Math.floor(ages.length * 0.95)] ?? 0,
    mostPods: Math.max(...moments.map(({ pods }) => pods)),
    meanPods: podSeconds / moments.length,
    podHours: podSeconds / HOUR,
    busy: images / imagesPerSecond / podSeconds,
  };
}

/** A row of the table in words. @param price of a pod hour */
export function row(result: Figures, price: number): string[] {
  return [
    result.name,
    result.images.toLocaleString('en'),
    result.longestAge.toFixed(0),
    result.age95.toFixed(0),
    `${result.mostPods}`,
    result.meanPods.toFixed(1),
    result.podHours.toFixed(1),
    `${(result.busy * 100).toFixed(0)} %`,
    ((result.podHours * price * 1e6) / result.images).toFixed(2),
  ];
}

/** Points of a curve. */
const POINTS = 300;

/** @returns an SVG image: arrivals and work done, age of the backlog, pods */
export async function plot({ title }: Scenario, moments: readonly Moment[]): Promise<string> {
  const step = Math.ceil(moments.length / POINTS);
  const points = Array.from({ length: Math.ceil(moments.length / step) }, (_, place) => {
    const part = moments.slice(place * step, (place + 1) * step);
    const mean = (value: (moment: Moment) => number) =>
      part.reduce((total, moment) => total + value(moment), 0) / part.length;
    return {
      minutes: part[0]!.second / 60,
      arrived: mean(({ arrived }) => arrived),
      defended: mean(({ defended }) => defended),
      age: Math.max(...part.map(({ age }) => age)) / 60,
      pods: mean(({ pods }) => pods),
      ready: mean(({ ready }) => ready),
    };
  });
  const day = moments.length > 6 * HOUR;
  const curve = (fields: readonly string[], names: readonly string[], y: string, most?: number) => ({
    width: 640,
    height: 110,
    transform: [
      { fold: [...fields], as: ['what', 'value'] },
      ...(day ? [{ calculate: 'datum.minutes / 60', as: 'minutes' }] : []),
    ],
    mark: { type: 'line', interpolate: 'step-after', strokeWidth: 1.5, clip: true },
    encoding: {
      x: {
        field: 'minutes',
        type: 'quantitative',
        title: day ? 'hours' : 'minutes',
        scale: { domain: [0, moments.length / (day ? HOUR : 60)], nice: false },
      },
      y: {
        field: 'value',
        type: 'quantitative',
        title: y,
        ...(most === undefined ? {} : { scale: { domain: [0, most] } }),
      },
      color: {
        field: 'what',
        type: 'nominal',
        title: null,
        scale: { domain: [...fields], range: ['#b45309', '#1d4ed8'].slice(0, fields.length) },
        legend: {
          orient: 'right',
          labelExpr: `{${fields.map((field, place) => `'${field}': '${names[place]}'`).join(', ')}}[datum.label]`,
        },
      },
    },
  });
  const spec = {
    background: 'white',
    title,
    config: { font: 'sans-serif' },
    data: { values: points },
    resolve: { scale: { color: 'independent' } },
    vconcat: [
      curve(
        ['arrived', 'defended'],
        ['arrived', 'defended'],
        'images a second',
        Math.max(...points.map(({ defended }) => defended)) * 1.2,
      ),
      curve(['age'], ['oldest chunk'], 'waited, minutes'),
      curve(['pods', 'ready'], ['pods', 'of them ready'], 'pods'),
    ],
  };
  const view = new View(parse(compile(spec as TopLevelSpec).spec), { renderer: 'none' });
  try {
    return `${(await view.toSVG()).replaceAll(/(\d+\.\d{2})\d+/g, '$1')}\n`;
  } finally {
    view.finalize();
  }
}
