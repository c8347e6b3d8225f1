/** The metrics of the catalogue made live by prom-client: one registry a process. */
import type { Counter, Gauge, Histogram, OpenMetricsContentType, Registry } from 'prom-client';
import {
  type CounterDefinition,
  type GaugeDefinition,
  METRICS,
  type MetricDefinition,
  type MetricKey,
} from './catalogue.js';

type LabelsOf<D extends MetricDefinition> = Readonly<Record<D['labels'][number], string>>;
type Labels = Readonly<Record<string, string>>;

export interface LiveCounter<L> {
  /** @param trace id of a trace to show as an example */
  add(labels: L, value?: number, trace?: string): void;
}

export interface LiveGauge<L> {
  set(labels: L, value: number): void;
  add(labels: L, value: number): void;
  /** Forgets all values. */
  reset(): void;
}

export interface LiveHistogram<L> {
  /** @param trace id of a trace to show as an example */
  observe(labels: L, value: number, trace?: string): void;
}

type Live<D extends MetricDefinition> = D extends CounterDefinition
  ? LiveCounter<LabelsOf<D>>
  : D extends GaugeDefinition
    ? LiveGauge<LabelsOf<D>>
    : LiveHistogram<LabelsOf<D>>;

/** One for each entry of the catalogue, by its key. */
export type Instruments = { readonly [K in MetricKey]: Live<(typeof METRICS)[K]> };

export interface LiveMetrics {
  readonly instruments: Instruments;
  readonly registry: Registry<OpenMetricsContentType>;
}

/** Makes the catalogue live, with what prom-client tells of the process: processor time, memory, loop lag, collections. */
export async function createInstruments(): Promise<LiveMetrics> {
  const prom = await import('prom-client');
  // Exemplars are kept only for a registry of this type; exposition.ts writes either format from it.
  const registry = new prom.Registry<OpenMetricsContentType>();
  registry.setContentType(prom.Registry.OPENMETRICS_CONTENT_TYPE);
  const registers = [registry as unknown as Registry];
  const common = ({ name, help, labels }: MetricDefinition) => ({ name, help, labelNames: [...labels], registers });
  const instruments = Object.entries(METRICS).map(([key, definition]: [string, MetricDefinition]) => {
    const config = common(definition);
    if (definition.type === 'gauge') return [key, liveGauge(new prom.Gauge(config))];
    const { exemplars } = definition;
    if (definition.type === 'counter') {
      return [key, liveCounter(new prom.Counter({ ...config, enableExemplars: exemplars }), exemplars)];
    }
    const { buckets } = definition;
    const histogram = new prom.Histogram({ ...config, buckets: [...buckets], enableExemplars: exemplars });
    return [key, liveHistogram(histogram, exemplars)];
  });
  prom.collectDefaultMetrics({ register: registry as unknown as Registry });
  // Gauges whose names end like those of counters, which OpenMetrics forbids, and the details of them.
  for (const { name } of registry.getMetricsAsArray()) {
    if (name.startsWith('nodejs_active_')) registry.removeSingleMetric(name);
  }
  return { registry, instruments: Object.fromEntries(instruments) as Instruments };
}

function liveCounter(counter: Counter, exemplars: boolean): LiveCounter<Labels> {
  return {
    add: (labels, value = 1, trace = undefined) => {
      if (!exemplars) counter.inc(labels, value);
      else counter.inc({ labels, value, ...exemplar(trace) });
    },
  };
}

function liveGauge(gauge: Gauge): LiveGauge<Labels> {
  return {
    set: (labels, value) => gauge.set(labels, value),
    add: (labels, value) => gauge.inc(labels, value),
    reset: () => gauge.reset(),
  };
}

function liveHistogram(histogram: Histogram, exemplars: boolean): LiveHistogram<Labels> {
  return {
    observe: (labels, value, trace = undefined) => {
      if (!exemplars) histogram.observe(labels, value);
      else histogram.observe({ labels, value, ...exemplar(trace) });
    },
  };
}

function exemplar(trace: string | undefined): { exemplarLabels?: Record<string, string> } {
  return trace === undefined ? {} : { exemplarLabels: { trace_id: trace } };
}
