// Makes Grafana's dashboards, infra/grafana/dashboards/*.json, from the panels that infra/grafana/*.yaml lists: npm run docs;
// with --check only says whether they are the same.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { root } from './lib/steps.mjs';

const SOURCE = join(root, 'infra/grafana');
/** Columns of Grafana's grid. */
const COLUMNS = 24;
const HEIGHT = { stat: 4, timeseries: 8, heatmap: 8, bargauge: 8, table: 8 };
const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
const ALL = '.*';

const LAST = { calcs: ['lastNotNull'], fields: '', values: false };
const OPTIONS = {
  stat: () => ({
    reduceOptions: LAST,
    colorMode: 'value',
    graphMode: 'area',
    textMode: 'auto',
    orientation: 'auto',
    justifyMode: 'auto',
  }),
  timeseries: () => ({
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
    tooltip: { mode: 'multi', sort: 'desc' },
  }),
  heatmap: unit => ({
    calculate: false,
    cellGap: 1,
    color: { mode: 'scheme', scheme: 'Oranges', steps: 64, exponent: 0.5, reverse: false, fill: 'dark-orange' },
    filterValues: { le: 1e-9 },
    legend: { show: true },
    rowsFrame: { layout: 'auto' },
    showValue: 'never',
    tooltip: { mode: 'single', yHistogram: true },
    yAxis: { unit, axisPlacement: 'left' },
  }),
  bargauge: () => ({
    reduceOptions: LAST,
    displayMode: 'basic',
    orientation: 'horizontal',
    valueMode: 'color',
    showUnfilled: true,
  }),
  table: () => ({ showHeader: true, cellHeight: 'sm' }),
};

const VARIABLES = [
  { name: 'namespace', label: 'Namespace', query: 'label_values(deflector_build_info, namespace)', all: true },
];

const stale = [];
for (const file of readdirSync(SOURCE).filter(name => name.endsWith('.yaml'))) {
  const name = basename(file, '.yaml');
  const path = join(SOURCE, 'dashboards', `${name}.json`);
  const text = `${JSON.stringify(dashboard(name, parse(readFileSync(join(SOURCE, file), 'utf8'))), null, 2)}\n`;
  if (!process.argv.includes('--check')) writeFileSync(path, text);
  else if (readFileSync(path, 'utf8') !== text) stale.push(name);
}
if (stale.length > 0) {
  console.log(`${stale.join(', ')}: not what infra/grafana says; run: npm run docs`);
  process.exitCode = 1;
}

/** The JSON model of Grafana 11 and 12, by which it provisions and exports. */
function dashboard(name, { title, description, variables = [], rows }) {
  return {
    uid: `deflector-${name}`,
    title,
    description,
    tags: ['deflector'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    time: { from: 'now-6h', to: 'now' },
    refresh: '30s',
    timezone: 'browser',
    links: [
      {
        type: 'dashboards',
        title: 'Deflector',
        tags: ['deflector'],
        icon: 'external link',
        tooltip: '',
        targetBlank: false,
        asDropdown: true,
        includeVars: true,
        keepTime: true,
      },
    ],
    annotations: {
      list: [
        {
          name: 'Alerts',
          enable: true,
          iconColor: 'red',
          datasource: DATASOURCE,
          expr: 'ALERTS{alertname=~"Deflector.*", alertstate="firing", namespace=~"$namespace"}',
          titleFormat: '{{alertname}}',
          textFormat: '{{queue}}{{stage}}{{model}} {{instance}}',
        },
      ],
    },
    templating: {
      list: [
        { type: 'datasource', name: 'datasource', label: 'Prometheus', query: 'prometheus' },
        ...[...VARIABLES, ...variables].map(variable),
      ],
    },
    panels: placed(rows),
  };
}

function variable({ name, label, query, all = false }) {
  return {
    type: 'query',
    name,
    label,
    datasource: DATASOURCE,
    query: { query, refId: name },
    definition: query,
    // At every change of the time range: jobs come and go.
    refresh: 2,
    sort: 1,
    // Also what has no such label, as where there is but one deployment.
    ...(all ? { multi: true, includeAll: true, allValue: ALL, current: { text: ['All'], value: ['$__all'] } } : {}),
  };
}

/** Panels of a row share its width: at most four abreast, numbers eight. */
function placed(rows) {
  const panels = [];
  let id = 0;
  let y = 0;
  for (const { title, panels: own } of rows) {
    panels.push({
      id: ++id,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { h: 1, w: COLUMNS, x: 0, y: y++ },
      panels: [],
    });
    const kinds = own.map(({ kind = 'stat' }) => kind);
    const abreast = kinds.includes('stat') ? own.length : Math.min(own.length, own.length === 4 ? 2 : 3);
    const w = COLUMNS / abreast;
    const h = Math.max(...kinds.map(kind => HEIGHT[kind]));
    for (const [place, one] of own.entries()) {
      const gridPos = { h, w, x: (place % abreast) * w, y: y + Math.floor(place / abreast) * h };
      panels.push({ id: ++id, ...panel(one), gridPos });
    }
    y += Math.ceil(own.length / abreast) * h;
  }
  return panels;
}

function panel({ title, description, kind = 'stat', unit = 'short', thresholds, stack = false, queries }) {
  const steps = [
    { color: 'green', value: null },
    ...(thresholds ?? []).map((value, place) => ({ color: ['orange', 'red'][place], value })),
  ];
  const instant = kind === 'table' || kind === 'bargauge';
  const drawn = {
    lineWidth: 1,
    fillOpacity: stack ? 30 : 8,
    showPoints: 'never',
    stacking: { mode: stack ? 'normal' : 'none', group: 'A' },
  };
  return {
    type: kind,
    title,
    ...(description === undefined ? {} : { description }),
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: {
        unit,
        ...(kind === 'timeseries' ? { min: 0, custom: drawn } : {}),
        ...(kind === 'stat' ? { thresholds: { mode: 'absolute', steps } } : {}),
      },
      overrides: [],
    },
    options: OPTIONS[kind](unit),
    ...(kind === 'table'
      ? {
          transformations: [
            { id: 'organize', options: { excludeByName: { Time: true }, renameByName: { Value: 'processes' } } },
          ],
        }
      : {}),
    targets: queries.map(({ expr, legend, exemplars = false }, place) => ({
      refId: String.fromCharCode(65 + place),
      datasource: DATASOURCE,
      editorMode: 'code',
      expr,
      legendFormat: legend ?? (kind === 'heatmap' ? '{{le}}' : title),
      range: !instant,
      instant,
      ...(exemplars ? { exemplar: true } : {}),
      ...(instant ? { format: kind === 'table' ? 'table' : 'time_series' } : {}),
      ...(kind === 'heatmap' ? { format: 'heatmap' } : {}),
    })),
  };
}
