/** What infra/ asks of Prometheus: rules, alerts and dashboards, and the metrics that they name. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { METRICS, type MetricDefinition } from '../../src/telemetry/catalogue.js';
import { REPOSITORY } from './repository.js';

export const RULES = join(REPOSITORY, 'infra/prometheus');
const DASHBOARDS = join(REPOSITORY, 'infra/grafana/dashboards');

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
const COMMON = [
  ...['up', 'ALERTS', 'nodejs_eventloop_lag_p99_seconds'],
  ...['process_start_time_seconds', 'process_cpu_seconds_total', 'process_resident_memory_bytes'],
];

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
    /\b(?:deflector[_:]|nodejs_|process_|DCGM_)[a-zA-Z0-9_:]+|\bup\b|\b[a-zA-Z_:][a-zA-Z0-9_:]*(?=\s*[{[])/g,
  );
  return [...new Set(names)];
}

export interface DashboardQuery {
  readonly dashboard: string;
  readonly panel: string;
  readonly expr: string;
}

/** The queries of all panels and annotations, variables as Grafana replaces them where `All` is chosen. */
export function dashboardQueries(job: string): DashboardQuery[] {
  return readdirSync(DASHBOARDS).flatMap(file => {
    const { annotations, panels }: Dashboard = JSON.parse(readFileSync(join(DASHBOARDS, file), 'utf8'));
    const dashboard = file.replace(/\.json$/, '');
    return [
      ...annotations.list.map(({ name, expr }) => ({ panel: name, expr })),
      ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ panel: title, expr }))),
    ].map(({ panel, expr }) => ({
      dashboard,
      panel,
      expr: expr
        .replaceAll(/\$(?:namespace|model)\b/g, '.*')
        .replaceAll(/\$job\b/g, job)
        .replaceAll(/\$__rate_interval\b/g, '1m'),
    }));
  });
}

interface Dashboard {
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
}
