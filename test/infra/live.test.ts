/** A live run, scraped by a real Prometheus: what alerts and dashboards ask for is there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { deployment, until } from '../helpers/distributed.js';
import { checkLeaks } from '../helpers/leaks.js';
import { ALERTS, dashboardQueries, RECORDINGS, RULES, SERIES, seriesIn } from '../helpers/monitoring.js';
import { startPrometheus, telemetryUrl } from '../helpers/prometheus.js';
import { REPOSITORY } from '../helpers/repository.js';

checkLeaks();

/** What a run on a machine without GPUs cannot have, and why. */
const ABSENT: readonly (readonly [series: RegExp, why: string])[] = [
  [/^deflector_gpu_(?:info|memory_bytes|probe_seconds)$/, 'is there where a GPU proved to compute a model'],
  [/^DCGM_/, "needs a GPU of NVIDIA's and its exporter"],
  [/^ALERTS$/, 'is there while something is the matter'],
];

const absent = (series: string): boolean => ABSENT.some(([name]) => name.test(series));

describe('dashboards', () => {
  it('are what infra/grafana/*.yaml says', () => {
    const check = spawnSync(process.execPath, ['scripts/print-dashboards.mjs', '--check'], { cwd: REPOSITORY });
    assert.equal(check.status, 0, `${check.stdout}`);
  });

  it('ask for series that there are', () => {
    for (const { dashboard, panel, expr } of dashboardQueries('job')) {
      const unknown = seriesIn(expr).filter(series => !SERIES.has(series) && !absent(series));
      assert.deepEqual(unknown, [], `${dashboard}, ${panel}`);
    }
  });
});

describe('a live run that a real Prometheus scrapes', () => {
  it('gives every alert and every panel its data', async t => {
    const { input, enqueue, worker } = await deployment(t, 200);
    await writeFile(join(input, 'broken.png'), 'no image');
    const workers = await Promise.all([worker(['--metrics-port', '0']), worker(['--metrics-port', '0'])]);
    const targets = workers.map(({ log }, place) => [`worker-${place}`, new URL(telemetryUrl(log())).host]);
    const prometheus = await startPrometheus(t, Object.fromEntries(targets), [
      atOnce(readFileSync(join(RULES, 'recording.yaml'), 'utf8')),
      readFileSync(join(RULES, 'alerts.yaml'), 'utf8'),
    ]);
    const images = 'sum(deflector_images_total{stage="publish"})';
    // Rates need counters that were seen before they moved.
    await until(async () => (await prometheus.query(`count(deflector_build_info) == 2`)).length > 0);
    await enqueue('job');
    await until(async () => (await prometheus.query(`${images} == 201`)).length > 0);

    const has = async (query: string) => (await prometheus.query(query)).length > 0;
    const asked = [
      ...ALERTS.flatMap(({ alert, expr }) => seriesIn(expr).map(series => ({ name: alert, query: series }))),
      ...dashboardQueries('job')
        .filter(({ expr }) => !seriesIn(expr).some(absent))
        .map(({ dashboard, panel, expr }) => ({ name: `${dashboard}, ${panel}`, query: expr })),
    ];
    let empty = asked;
    // Rates of what has just begun are there with the next scrape, and what follows from them with the next evaluation.
    await until(async () => {
      const there = await Promise.all(empty.map(({ query }) => has(query)));
      empty = empty.filter((_, place) => !there[place]);
      return empty.length === 0;
    }, 30_000).catch(() => undefined);
    assert.deepEqual(empty, []);
    for (const { expr } of [...ALERTS, ...dashboardQueries('job')]) await prometheus.query(expr);

    const rules = await prometheus.rules();
    assert.equal(rules.length, ALERTS.length + RECORDINGS.length);
    assert.deepEqual(
      rules.filter(({ health }) => health !== 'ok'),
      [],
    );
    // Of a job that went well but for one image nobody has to hear.
    assert.deepEqual(await prometheus.query('ALERTS{alertstate="firing"}'), []);
  });
});

/** Rules that are evaluated as often as Prometheus scrapes, and whose baselines do not end a while ago: a run has no past. */
function atOnce(rules: string): string {
  const changed = rules.replaceAll(/ offset \d+[mh]/g, '').replaceAll(/^ +interval: .*\n/gm, '');
  assert.notEqual(changed, rules);
  return changed;
}
