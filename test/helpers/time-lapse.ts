/**
 * A recording of a live run, played back to the rules as they are: a scrape every second, say, is taken for one every minute.
 * So a fault of half a minute lasts for half an hour, and windows and delays of alerts need not be shortened for a test.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ALERTS, RECORDINGS, RULES, SERIES, seriesIn } from './monitoring.js';
import { type PrometheusServer, promtool, type SeriesInTime } from './prometheus.js';

/** Series that the rules look at, but for those that they make. */
const RECORDED = [...ALERTS, ...RECORDINGS]
  .flatMap(({ expr }) => seriesIn(expr))
  .filter(name => SERIES.has(name) && !name.includes(':'));

/** Moments, which come to lie as far apart as the recording is slowed down; ages, which grow as much. */
const MOMENT = /_timestamp_seconds$|^process_start_time_seconds$/;
const AGE = 'deflector_queue_oldest_seconds';

/**
 * @param from when the recording begins, and `to` when it ends, in seconds since 1970
 * @param interval seconds between two scrapes, which become a minute
 * @param expected names of the alerts that must fire at some time; of all others none may
 * @throws Error what promtool says, where other alerts fire
 */
export async function replay(
  prometheus: PrometheusServer,
  { from, to, interval }: { readonly from: number; readonly to: number; readonly interval: number },
  expected: readonly string[],
): Promise<void> {
  const recorded = await prometheus.queryRange(`{__name__=~"${RECORDED.join('|')}"}`, from, to, interval);
  const minutes = Math.floor((to - from) / interval);
  const test = {
    rule_files: ['recording.yaml', 'alerts.yaml'].map(name => join(RULES, name)),
    // What is recorded comes before what is held against it; promtool has no order of its own.
    group_eval_order: ['deflector-recording', 'deflector-labels', 'deflector'],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: recorded.map(series => ({
          series: nameOf(series),
          values: slowed(series, minutes, from, interval),
        })),
        promql_expr_test: [
          {
            expr: 'group by (alertname) (last_over_time(ALERTS{alertstate="firing"}[1d]))',
            eval_time: `${minutes}m`,
            exp_samples: expected.map(alertname => ({ labels: `{alertname="${alertname}"}`, value: 1 })),
          },
        ],
      },
    ],
  };
  const folder = await mkdtemp(join(tmpdir(), 'deflector-replay-'));
  try {
    await writeFile(join(folder, 'test.yaml'), stringify(test, { lineWidth: 0 }));
    await promtool(['test', 'rules', join(folder, 'test.yaml')]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function nameOf({ metric: { __name__: name, ...labels } }: SeriesInTime): string {
  return `${name}{${Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`)}}`;
}

/** One value a minute, in promtool's notation. */
function slowed(
  { metric: { __name__: name = '' }, values }: SeriesInTime,
  minutes: number,
  from: number,
  interval: number,
): string {
  const factor = 60 / interval;
  const scaled = (value: number): number => {
    if (MOMENT.test(name)) return (value - from) * factor;
    return name === AGE ? value * factor : value;
  };
  const byMinute = new Map(values.map(([at, value]) => [Math.round((at - from) / interval), Number(value)]));
  let there = false;
  const all = Array.from({ length: minutes + 1 }, (_, minute) => {
    const value = byMinute.get(minute);
    const gone = there && value === undefined;
    there = value !== undefined;
    if (value === undefined) return gone ? 'stale' : '_';
    return scaled(value).toFixed(3);
  });
  return all.join(' ');
}
