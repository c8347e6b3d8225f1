// npm start [-- OPTIONS]: installs, builds, and defends the bundled sample images with the bundled model.
// A second call redoes only what changed. Options go to `deflector run`, for instance: npm start -- --runs 20
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build, install, root } from './lib/steps.mjs';

const OUT = 'deflector-out';
/** What the results depend on. */
const SOURCES = ['dist/src', 'dist/pipelines', 'models', 'samples'];

const options = process.argv.slice(2);

install();
build();
if (options.length === 0 && current()) {
  const [results, report] = ['results.jsonl', 'report.html'].map(file => join(root, OUT, file));
  console.log(`\nNothing changed since the last run.\nresults  ${results}\nreport   ${report}`);
} else {
  console.log('\nDefending the sample images\n');
  // The seed is fixed so that everybody sees the same; for real use leave it out, and a fresh one is drawn.
  const args = ['run', 'samples', '--out', OUT, '--overwrite', '--seed', '1', ...options];
  const { status } = spawnSync(process.execPath, ['dist/src/cli/main.js', ...args], { cwd: root, stdio: 'inherit' });
  process.exitCode = status ?? 1;
  if (status === 0) console.log('\nYour own images: npx deflector run FOLDER --out RESULTS');
}

/** Whether a finished run is younger than everything that it depends on. */
function current() {
  try {
    const file = join(root, OUT, 'run.json');
    const { status, settings } = JSON.parse(readFileSync(file, 'utf8'));
    return status === 'complete' && settings.seed === '1' && newest(SOURCES) < statSync(file).mtimeMs;
  } catch {
    return false;
  }
}

/** When a file below one of the folders was last changed. */
function newest(folders) {
  const entries = folders.flatMap(folder => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }));
  return Math.max(
    ...entries
      .filter(entry => entry.isFile())
      .map(entry => statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs),
  );
}
