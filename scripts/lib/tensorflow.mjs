// TensorFlow.js with its native binding, made in a cache folder of the user from parts that public registries hold, since
// its own installer fetches from a storage host that many networks do not reach:
//   npm    the packages themselves, their installer off, pinned by scripts/tensorflow/package-lock.json
//   Maven  libtensorflow, inside the library that TensorFlow's Java binding is made of
//   PyPI   the headers of its C interface, inside the wheel
// The binding is then compiled by its own build file. Nothing of it is changed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npm, quietly } from './steps.mjs';
import { aptInstall, cacheFolder, onPath } from './system.mjs';

const sources = fileURLToPath(new URL('../tensorflow', import.meta.url));

/** The version whose names the binding links. */
const LINKED = '2.9.1';

/** Libraries that the binding runs on, by the version of TensorFlow inside. */
const LIBRARIES = {
  // The one that TensorFlow.js 4.22 is nearest to.
  '2.10': {
    artifact: 'org.tensorflow:tensorflow-core-api:0.5.0:jar:linux-x86_64',
    sha256: 'f394c5be26c8f3b644cdc77e6741b2cfe774caa8aedeb969c50e074444feac55',
  },
  2.18: {
    artifact: 'org.tensorflow:tensorflow-core-native:1.1.0:jar:linux-x86_64',
    sha256: '81b0e11290ba3b2e134901395ef59f1ae616f8ab7931f0d5c3eeb89c1b97c4e6',
  },
  // Made for CUDA 12 and cuDNN 9, with code for GPUs up to Hopper.
  '2.18-gpu': {
    artifact: 'org.tensorflow:tensorflow-core-native:1.1.0:jar:linux-x86_64-gpu',
    sha256: '9e2c48fbc444e941dc09eb998b16c8d699c8ca950d2bf09ab90871137a982826',
  },
};

export const TENSORFLOW_VERSIONS = Object.keys(LIBRARIES);

/**
 * Makes TensorFlow.js where it is not made yet; ends the process with a message where it cannot be made.
 *
 * @returns the folder whose node_modules holds it: what DEFLECTOR_TENSORFLOW names
 */
export function provideTensorflow(version = '2.10') {
  const library = LIBRARIES[version];
  const key = createHash('sha256')
    .update(readFileSync(join(sources, 'package-lock.json')))
    .update(library.sha256);
  const folder = join(
    cacheFolder,
    `tensorflow-${version}-${process.versions.modules}-${key.digest('hex').slice(0, 12)}`,
  );
  if (!existsSync(folder)) {
    checkMachine();
    mkdirSync(cacheFolder, { recursive: true });
    const work = mkdtempSync(join(cacheFolder, 'tensorflow-build-'));
    try {
      make(work, library, version);
      // Two builds at once may end here; either is as good.
      if (!existsSync(folder)) renameSync(work, folder);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  return folder;
}

function checkMachine() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    give(`TensorFlow.js can be made from parts on Linux x64 only, not on ${process.platform} ${process.arch}.`);
  }
  const missing = [];
  if (onPath('mvn') === undefined) missing.push('maven');
  if (onPath('g++', 'c++') === undefined || onPath('make') === undefined) missing.push('build-essential');
  if (spawnSync('python3', ['-m', 'pip', '--version']).status !== 0) missing.push('python3-pip');
  if (missing.length === 0 || aptInstall(missing.join(', '), ...missing)) return;
  give(`TensorFlow.js is made with ${missing.join(', ')}, which cannot be installed from here.`);
}

function give(what) {
  console.error(
    `${what}\nInstall what is missing, or TensorFlow.js itself (npm install @tensorflow/tfjs-node) in a folder that\n` +
      'DEFLECTOR_TENSORFLOW names, then run the tests again; or run those without it: npm test -- FILTER',
  );
  process.exit(3);
}

function make(work, { artifact, sha256 }, version) {
  const quiet = (title, command, args, options = {}) => quietly(title, command, args, { exitCode: 3, ...options });
  for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(sources, file), join(work, file));
  const ci = ['ci', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', '--loglevel=error'];
  quiet('Fetching TensorFlow.js (npm)', ...npm(...ci), { cwd: work });

  const parts = join(work, 'parts');
  const copy = ['-q', '-B', 'dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${parts}`];
  quiet(`Fetching TensorFlow ${version} (Maven)`, 'mvn', copy, { cwd: work });
  const jar = join(
    parts,
    readdirSync(parts).find(name => name.endsWith('.jar')),
  );
  const found = createHash('sha256').update(readFileSync(jar)).digest('hex');
  if (found !== sha256) give(`${artifact} has the SHA-256 ${found}, not ${sha256}.`);
  const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes'];
  const platform = [
    '--python-version',
    '3.10',
    '--platform',
    'manylinux2014_x86_64',
    '--platform',
    'manylinux_2_17_x86_64',
  ];
  const list = ['--requirement', join(sources, 'requirements.txt'), '--dest', parts];
  quiet('Fetching its headers (PyPI)', 'python3', [...pip, ...platform, ...list], { cwd: work });
  const wheel = join(
    parts,
    readdirSync(parts).find(name => name.endsWith('.whl')),
  );

  const deps = join(work, 'node_modules', '@tensorflow', 'tfjs-node', 'deps');
  const unpack = join(sources, 'unpack.py');
  quiet('Unpacking', 'python3', [
    unpack,
    jar,
    join(deps, 'lib'),
    'libtensorflow_cc.so.2',
    'libtensorflow_framework.so.2',
  ]);
  quiet('Unpacking', 'python3', [unpack, '--below', 'tensorflow/include', wheel, join(deps, 'include'), '.h']);
  const lib = join(deps, 'lib');
  for (const [name, file] of [
    ['libtensorflow', 'libtensorflow_cc.so.2'],
    ['libtensorflow_framework', 'libtensorflow_framework.so.2'],
  ]) {
    for (const suffix of ['so', `so.${LINKED}`]) symlinkSync(file, join(lib, `${name}.${suffix}`));
    if (!existsSync(join(lib, `${name}.so.2`))) symlinkSync(file, join(lib, `${name}.so.2`));
  }
  rmSync(parts, { recursive: true });
  const rebuild = ['rebuild', '@tensorflow/tfjs-node', '--ignore-scripts=false', '--loglevel=error'];
  quiet('Compiling its binding (node-gyp)', ...npm(...rebuild), { cwd: work });
  if (version.endsWith('-gpu')) provideGpuPackage(work, quiet);
}

/** The GPU package is the CPU one under another name: its binding and its libraries are those that were made. */
function provideGpuPackage(work, quiet) {
  const scope = join(work, 'node_modules', '@tensorflow');
  const { version } = JSON.parse(readFileSync(join(scope, 'tfjs-node', 'package.json'), 'utf8'));
  const add = ['install', '--no-save', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund'];
  quiet('Fetching its GPU package (npm)', ...npm(...add, '--loglevel=error', `@tensorflow/tfjs-node-gpu@${version}`), {
    cwd: work,
  });
  for (const part of ['deps', join('lib', 'napi-v8')]) {
    const target = join(scope, 'tfjs-node-gpu', part);
    rmSync(target, { recursive: true, force: true });
    cpSync(join(scope, 'tfjs-node', part), target, { recursive: true, verbatimSymlinks: true });
  }
}
