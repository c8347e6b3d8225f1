/** Recording rules and alerts, by promtool and against the catalogue of metrics. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { ALERTS, RECORDINGS, RULE_TESTS, RULES, SERIES, seriesIn } from '../helpers/monitoring.js';
import { promtool } from '../helpers/prometheus.js';
import { REPOSITORY } from '../helpers/repository.js';

const RUNBOOKS = 'docs/runbooks.md';
const NAMES = ALERTS.map(({ alert }) => alert);

describe('the rules of Prometheus', () => {
  it('are what promtool takes for rules, twice none', async () => {
    const files = ['recording.yaml', 'alerts.yaml'].map(name => join(RULES, name));
    await promtool(['check', 'rules', '--lint=all', '--lint-fatal', ...files]);
    assert.equal(new Set(NAMES).size, NAMES.length);
  });

  it('are loaded by a configuration of the compose file that promtool understands', async () => {
    const file = join(REPOSITORY, 'infra/compose/prometheus.yaml');
    assert.match(await promtool(['check', 'config', '--syntax-only', file]), /SUCCESS/);
  });

  for (const { name, expr } of [
    ...RECORDINGS.map(({ record: name, expr }) => ({ name, expr })),
    ...ALERTS.map(({ alert: name, expr }) => ({ name, expr })),
  ]) {
    it(`${name} asks for series that there are`, () => {
      const asked = seriesIn(expr);
      assert.ok(asked.length > 0);
      assert.deepEqual(
        asked.filter(series => !SERIES.has(series)),
        [],
      );
    });
  }
});

it('the chart brings the rules and dashboards of infra/ as they are', () => {
  const check = spawnSync(process.execPath, ['scripts/copy-monitoring.mjs', '--check'], { cwd: REPOSITORY });
  assert.equal(check.status, 0, `${check.stdout}`);
});

describe('alerts', () => {
  it('fire for what they are for, and are silent for what is like it', async () => {
    await promtool(['test', 'rules', ...RULE_TESTS]);
  });

  const tests = RULE_TESTS.flatMap(
    file => (parse(readFileSync(file, 'utf8')) as { tests: { name: string; alert_rule_test: Tried[] }[] }).tests,
  );
  interface Tried {
    readonly alertname: string;
    readonly exp_alerts: readonly unknown[];
  }

  for (const { alert, labels, annotations } of ALERTS) {
    it(`${alert} has a test in which it fires and one in which it must not`, () => {
      const own = tests.filter(test => test.alert_rule_test.every(({ alertname }) => alertname === alert));
      for (const [said, fires] of [
        ['fires', true],
        ['is silent', false],
      ] as const) {
        const such = own.filter(({ name }) => name.startsWith(`${alert} ${said}: `));
        assert.ok(such.length > 0, said);
        for (const { name, alert_rule_test } of such) {
          assert.ok(
            alert_rule_test.every(({ exp_alerts }) => exp_alerts.length > 0 === fires),
            name,
          );
        }
      }
    });

    it(`${alert} says whom it wakes, what is the matter, and where its runbook is`, () => {
      assert.ok(['page', 'ticket'].includes(labels.severity));
      assert.deepEqual(annotations, {
        summary: annotations.summary,
        runbook_url: `${RUNBOOKS}#${alert.toLowerCase()}`,
      });
    });
  }

  it('are listed in docs/observability.md with whom they wake', () => {
    const rows = readFileSync(join(REPOSITORY, 'docs/observability.md'), 'utf8').matchAll(
      /^\| `(Deflector\w+)` \| (\w+) \|/gm,
    );
    const listed = [...rows].map(([, name, severity]) => `${name} ${severity}`);
    assert.deepEqual(listed.sort(), ALERTS.map(({ alert, labels }) => `${alert} ${labels.severity}`).sort());
  });

  it('have runbooks, each of which says what it means, where to look and what to do', () => {
    const [, ...sections] = readFileSync(join(REPOSITORY, RUNBOOKS), 'utf8').split(/^### /m);
    const names = sections.map(section => section.slice(0, section.indexOf('\n')));
    assert.deepEqual(names.sort(), [...NAMES].sort());
    for (const section of sections) {
      const [name] = section.split('\n', 1);
      const { labels } = ALERTS.find(({ alert }) => alert === name)!;
      assert.match(section, new RegExp(`^${name}\\n\\n\\*${labels.severity}\\.\\* `), name);
      assert.match(section, /^- \*\*(?:Look|What happens meanwhile|Do)\*\*/m, name);
      assert.match(section, /^- \*\*Do\*\*/m, name);
    }
  });
});
