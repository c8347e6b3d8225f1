// npm run test:node-versions: defends the sample images on each supported Node.js and compares the results.
// The npm packages that carry Node.js itself bring the binaries; they stay in a cache folder of the user.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, install, npm, quietly, root } from './lib/steps.mjs';

const VERSIONS = ['20', '22', '24'];

install();
build();
const out = mkdtempSync(join(tmpdir(), 'deflector-node-versions-'));
let failed = 0;
let first;
try {
  for (const version of VERSIONS) {
    const node = provide(version);
    const folder = join(out, version);
    const args = ['dist/src/cli/main.js', 'run', 'samples', '--out', folder, '--seed', '1', '--quiet'];
    const { status, stderr } = spawnSync(node, args, { cwd: root, encoding: 'utf8' });
    const results = status === 0 ? resultsOf(folder) : undefined;
    first ??= results;
    const ok = results !== undefined && results === first;
    const exact = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
    const seen = status === 0 ? (ok ? 'same results' : 'other results') : `exit code ${status}\n${stderr}`;
    console.log(`${ok ? 'ok    ' : 'FAILED'} Node.js ${exact}: ${seen}`);
    if (!ok) failed++;
  }
} finally {
  rmSync(out, { recursive: true });
}
console.log(`${VERSIONS.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

/** The path of a Node.js of this major version, installed if it is not there yet. */
function provide(version) {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(cache, 'deflector', 'node-versions', version);
  const name = `node-${process.platform}-${process.arch}`;
  const binary = join(folder, 'node_modules', name, 'bin', 'node');
  if (!existsSync(binary)) {
    mkdirSync(folder, { recursive: true });
    const [command, args] = npm('install', '--prefix', folder, '--no-audit', '--no-fund', `${name}@${version}`);
    quietly(`Fetching Node.js ${version}`, command, args, { cwd: folder });
  }
  return binary;
}

/** results.jsonl without what may differ: the durations. */
function resultsOf(folder) {
  const lines = readFileSync(join(folder, 'results.jsonl'), 'utf8').trim().split('\n');
  return lines.map(line => JSON.stringify({ ...JSON.parse(line), ms: undefined })).join('\n');
}
