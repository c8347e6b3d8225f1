// npm run test:cluster [-- FILTER...]: the heavy tier. Installs or builds once what it needs (Helm, an API server of
// Kubernetes, Prometheus, image building), and tests the chart, the images and the deployment with them.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { provideComposeChecker, provideContainerTools } from './lib/containers.mjs';
import { provideApiServer, provideCustomResources, provideHelm, provideKeda } from './lib/kubernetes.mjs';
import { providePrometheus } from './lib/prometheus.mjs';
import { provideRedisServer } from './lib/redis-server.mjs';
import { runTests } from './lib/run-tests.mjs';
import { build, install, root } from './lib/steps.mjs';

const filters = process.argv.slice(2);
const tests = readdirSync(join(root, 'test/cluster'))
  .filter(name => name.endsWith('.test.ts'))
  .map(name => name.replace(/\.test\.ts$/, ''))
  .filter(name => filters.length === 0 || filters.some(filter => name.includes(filter)))
  .sort();
if (tests.length === 0) {
  console.error(`No test of test/cluster has a name that contains ${filters.join(' or ')}`);
  process.exit(2);
}

install();
build();
const needs = (...names) => names.some(name => tests.includes(name));
if (needs('alerts', 'recovery', 'rolling-restart', 'scaling', 'keda')) provideRedisServer();
if (needs('alerts')) providePrometheus();
if (needs('chart', 'api-server', 'scaling', 'rolling-restart', 'keda')) provideHelm();
if (needs('api-server', 'keda')) {
  provideApiServer();
  provideCustomResources();
}
if (needs('keda')) provideKeda();
if (needs('compose')) provideComposeChecker();
if (needs('images')) provideContainerTools();

const counts = await runTests(
  tests.map(name => join(root, 'dist/test/cluster', `${name}.test.js`)),
  // The alerts, first by name and longest, mostly wait for time to pass.
  { concurrency: 2, title: file => file.replace(/^.*\/|\.test\.js$/g, '') },
);
if (counts.skipped > 0) console.log(`${counts.skipped} skipped`);
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 ? 1 : 0;
