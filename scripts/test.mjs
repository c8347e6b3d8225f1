// npm test [-- FILTER...]: installs what the tests need, builds, checks, runs the tests, measures their coverage.
// With filters only the test files whose path contains one of them are run, and nothing else is checked.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { provideBrowser } from './lib/browser.mjs';
import { providePrometheus } from './lib/prometheus.mjs';
import { provideRedisServer } from './lib/redis-server.mjs';
import { runTests } from './lib/run-tests.mjs';
import { provideS3Server } from './lib/s3-server.mjs';
import { build, install, root } from './lib/steps.mjs';
import { provideTensorflow } from './lib/tensorflow.mjs';

/** Share of the lines of src/ that the tests must run, in percent. */
const COVERAGE = 90;

const filters = process.argv.slice(2);
const complete = filters.length === 0;

// From the sources, so that what stays in dist/ of a deleted test is not run. The tests of test/cluster have a command of
// their own: npm run test:cluster.
const sources = readdirSync(join(root, 'test'), { recursive: true })
  .filter(path => !path.startsWith(`cluster${sep}`))
  .map(path => join('test', path))
  .filter(path => path.endsWith('.test.ts') && (complete || filters.some(filter => path.includes(filter))))
  .sort();
if (sources.length === 0) {
  console.error(`No test file's path contains ${filters.join(' or ')}`);
  process.exit(2);
}

install();
const needs = text => sources.some(path => readFileSync(join(root, path), 'utf8').includes(text));
if (needs('playwright-core')) provideBrowser();
if (needs('helpers/s3-server') || needs('helpers/distributed') || needs('./schedule.js')) provideS3Server();
if (needs('helpers/redis-server') || needs('helpers/distributed') || needs('./schedule.js')) provideRedisServer();
if (needs('helpers/prometheus')) providePrometheus();
if (needs('helpers/tensorflow')) process.env.DEFLECTOR_TENSORFLOW ||= provideTensorflow();
build();

const checks = { passed: 0, failed: 0 };
if (complete) {
  check('format and lint', 'node_modules/@biomejs/biome/bin/biome', ['check', '.', '--error-on-warnings']);
  check('dead code', 'node_modules/knip/bin/knip.js', ['--no-progress']);
  rmSync(join(root, 'coverage'), { recursive: true, force: true });
  // Inherited by child processes and worker threads, whose coverage counts as well.
  process.env.NODE_V8_COVERAGE = join(root, 'coverage', 'v8');
}

const counts = await runTests(
  sources.map(path => join(root, 'dist', path.replace(/\.ts$/, '.js'))),
  // Many of the tests start processes and threads of their own.
  {
    concurrency: 2,
    title: file =>
      relative(join(root, 'dist', 'test'), file)
        .replaceAll(sep, '/')
        .replace(/(\.test)?\.js$/, ''),
  },
);

if (complete) {
  delete process.env.NODE_V8_COVERAGE;
  const v8 = [
    '--temp-directory',
    'coverage/v8',
    '--reports-dir',
    'coverage',
    '--reporter',
    'html',
    '--reporter',
    'json-summary',
  ];
  const exclude = withoutCode().flatMap(path => ['--exclude', path]);
  const scope = ['--all', '--src', 'src', '--include', 'src/**/*.ts', ...exclude, '--exclude-after-remap'];
  check(`at least ${COVERAGE} % of the lines of src/ run`, 'node_modules/c8/bin/c8.js', [
    'report',
    ...v8,
    ...scope,
    '--check-coverage',
    '--lines',
    String(COVERAGE),
  ]);
  printCoverage();
}

if (counts.skipped > 0) console.log(`${counts.skipped} skipped`);
const failed = counts.failed + checks.failed;
console.log(`${counts.passed + checks.passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

function check(title, script, args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { cwd: root, encoding: 'utf8' });
  const ok = status === 0;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${title}`);
  if (!ok) console.log(`${stdout}${stderr}`);
  checks[ok ? 'passed' : 'failed']++;
}

/** Modules of src/ that leave nothing to run. */
function withoutCode() {
  return readdirSync(join(root, 'src'), { recursive: true })
    .filter(path => path.endsWith('.ts'))
    .filter(path => {
      const compiled = join(root, 'dist', 'src', path.replace(/\.ts$/, '.js'));
      // What tsc does not compile is not JavaScript: the sources of the kernel.
      if (!existsSync(compiled)) return true;
      const code = readFileSync(compiled, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      return code.trim() === 'export {};';
    })
    .map(path => `src/${path.replaceAll(sep, '/')}`);
}

/** The total, and the files that hold it down. */
function printCoverage() {
  const { total, ...files } = JSON.parse(readFileSync(join(root, 'coverage', 'coverage-summary.json'), 'utf8'));
  const low = Object.entries(files).filter(([, { lines }]) => lines.pct < COVERAGE);
  for (const [path, { lines }] of low) console.log(`       ${relative(root, path)}: ${lines.pct} %`);
  console.log(`       ${total.lines.pct} % of the lines of src/ in all; by file in coverage/index.html`);
}
