/** What infra/ asks of Prometheus: rules, alerts and dashboards, and the metrics that they name. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { METRICS, type MetricDefinition } from '../../src/telemetry/catalogue.js';
import { REPOSITORY } from './repository.js';

export const RULES = join(REPOSITORY, 'infra/prometheus');

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<string, string>>;
}

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
}

function rulesOf<R>(file: string): R[] {
  const { groups }: { groups: { rules: R[] }[] } = parse(readFileSync(join(RULES, file), 'utf8'));
  return groups.flatMap(({ rules }) => rules);
}

export const ALERTS = rulesOf<AlertRule>('alerts.yaml');
export const RECORDINGS = rulesOf<RecordingRule>('recording.yaml');

/** Test files of promtool, whose tests are named `ALERT fires: ...` and `ALERT is silent: ...`. */
export const RULE_TESTS = readdirSync(join(RULES, 'tests')).map(file => join(RULES, 'tests', file));

/** Series that no process of Deflector counts by itself: Prometheus's own, and those of any Node.js process. */
const COMMON = ['up', 'process_start_time_seconds', 'nodejs_eventloop_lag_p99_seconds'];

/** All names of series that a query may ask for. */
export const SERIES: ReadonlySet<string> = new Set([
  ...COMMON,
  ...RECORDINGS.map(({ record }) => record),
  ...(Object.values(METRICS) as MetricDefinition[]).flatMap(({ name, type }) =>
    type === 'histogram' ? ['_bucket', '_sum', '_count'].map(suffix => name + suffix) : [name],
  ),
]);

/** The names of series in a query: what stands before a matcher or a range, or looks like one of ours. */
export function seriesIn(query: string): string[] {
  const bare = query.replaceAll(/"[^"]*"/g, '""').replaceAll(/\{[^}]*\}/g, '{}');
  const names = bare.match(
    /\b(?:deflector[_:]|nodejs_|process_)[a-zA-Z0-9_:]+|\bup\b|\b[a-z_:][a-z0-9_:]*(?=\s*[{[])/g,
  );
  return [...new Set(names)];
}
