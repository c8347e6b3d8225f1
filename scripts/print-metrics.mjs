// Prints docs/metrics.md from the catalogue of metrics: npm run docs
import { LABELS, METRICS } from '../dist/src/telemetry/catalogue.js';

const cell = text => text.replaceAll('|', '\\|');
const labelsOf = ({ labels }) => labels.map(label => `\`${label}\``).join(', ');

console.log(`# Metrics

Made from the catalogue in \`src/telemetry/catalogue.ts\` by \`npm run docs\`. How they are served, and what to do with them:
[observability.md](observability.md).

Names and labels are promises: they may be added to, and are changed only with a note in the changelog. Beside them each
process gives what prom-client tells of any Node.js process: \`process_*\` (processor time, memory, start time, files) and
\`nodejs_*\` (lag of the event loop, heap, collections). Counters of threads and of processes that a worker starts are part
of the worker's.`);

const SCOPES = {
  process: ['Of a process', 'Each process counts its own part: sum over instances.'],
  deployment: [
    'Of the deployment',
    'Read from Redis when a process is asked, by one script, and the same whoever is asked: take the maximum over instances.\nThere is no process that has to be alive for them.',
  ],
};

for (const [scope, [title, text]] of Object.entries(SCOPES)) {
  console.log(`\n## ${title}\n\n${text}\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|`);
  for (const metric of Object.values(METRICS).filter(one => one.scope === scope)) {
    console.log(`| \`${metric.name}\` | ${metric.type} | ${labelsOf(metric)} | ${cell(metric.help)} |`);
  }
}

console.log('\n## Labels\n\nEvery label is bounded.\n\n| Label | Values |\n|---|---|');
for (const [name, values] of Object.entries(LABELS)) console.log(`| \`${name}\` | ${cell(values)} |`);

console.log('\n## Buckets\n\n| Metric | Upper bounds | Exemplars |\n|---|---|---|');
for (const { name, type, buckets, exemplars } of Object.values(METRICS)) {
  if (type === 'histogram') console.log(`| \`${name}\` | ${buckets.join(', ')} | ${exemplars ? 'yes' : 'no'} |`);
}
console.log(`
Exemplars are ids of recorded traces; they come with the OpenMetrics format only, which Prometheus asks for.`);
