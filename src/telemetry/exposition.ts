/**
 * Metrics as text, in the format that the reader asks for: Prometheus's own, version 0.0.4, or OpenMetrics 1.0, which alone
 * has exemplars. Both are written from one registry: prom-client's own writer changes the names of counters for good when
 * it writes the second.
 *
 * Sources: Prometheus exposition formats; OpenMetrics 1.0.0, sections "Text format" and "Exemplars".
 */
import type { OpenMetricsContentType, Registry } from 'prom-client';

export type ExpositionFormat = 'plain' | 'openmetrics';

export interface Exposition {
  /** Value of the header Content-Type. */
  readonly type: string;
  readonly body: string;
}

const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  plain: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
  readonly exemplar?: {
    readonly labelSet: Readonly<Record<string, string>>;
    readonly value: number;
    readonly timestamp: number;
  } | null;
}

/** OpenMetrics where the header Accept prefers it to plain text (RFC 9110, section 12.5.1), else plain text. */
export function negotiate(accept: string | undefined): ExpositionFormat {
  const weights = { openmetrics: 0, plain: 0 };
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.split(';').map(part => part.trim().toLowerCase());
    const quality = Number(parameters.find(parameter => parameter.startsWith('q='))?.slice(2) ?? 1);
    const version = parameters.find(parameter => parameter.startsWith('version='))?.slice(8);
    const weight = Number.isFinite(quality) ? quality : 0;
    if (type === 'application/openmetrics-text' && (version === undefined || version === '1.0.0')) {
      weights.openmetrics = Math.max(weights.openmetrics, weight);
    } else if (/^(?:text\/plain|text\/\*|\*\/\*)$/.test(type)) weights.plain = Math.max(weights.plain, weight);
  }
  return weights.openmetrics > 0 && weights.openmetrics >= weights.plain ? 'openmetrics' : 'plain';
}

/** Writes all metrics of a registry. */
export async function expose(
  registry: Registry<OpenMetricsContentType>,
  format: ExpositionFormat,
): Promise<Exposition> {
  const open = format === 'openmetrics';
  const lines: string[] = [];
  for (const { name, help, type, values } of await registry.getMetricsAsJSON()) {
    const counter = String(type) === 'counter';
    const base = name.replace(/_total$/, '');
    // OpenMetrics names a counter without the suffix that its samples have.
    const family = counter && open ? base : name;
    const sampleName = counter && open ? `${base}_total` : name;
    lines.push(`# HELP ${family} ${escaped(help, open)}`, `# TYPE ${family} ${type}`);
    for (const sample of values as Sample[]) {
      const line = `${sample.metricName ?? sampleName}${labelsOf(sample.labels)} ${numberOf(sample.value)}`;
      lines.push(open && sample.exemplar ? `${line} # ${exemplarOf(sample.exemplar)}` : line);
    }
  }
  if (open) lines.push('# EOF');
  return { type: CONTENT_TYPES[format], body: `${lines.join('\n')}\n` };
}

function labelsOf(labels: Sample['labels']): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value), true)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function exemplarOf({ labelSet, value, timestamp }: NonNullable<Sample['exemplar']>): string {
  return `${labelsOf(labelSet) || '{}'} ${numberOf(value)} ${timestamp}`;
}

function numberOf(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

function escaped(text: string, quotes: boolean): string {
  const plain = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return quotes ? plain.replaceAll('"', '\\"') : plain;
}
