// node scripts/build-image.mjs cpu|onnx-cuda|tfjs-cuda --tag NAME --base NAME_IMAGE=REFERENCE@sha256:...
//   [--builder docker|podman|buildah] [--npmrc FILE] [-- further arguments of the builder]
// Builds an image of infra/containers with docker, podman or buildah. Bases are named by digest, or not at all.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './lib/steps.mjs';
import { onPath } from './lib/system.mjs';

/** What the images stand on, with a tag under which a digest is found. */
const BASES = {
  NODE_IMAGE: 'docker.io/library/node:24-bookworm-slim (tfjs-cuda and its APP_IMAGE: node:22-bookworm-slim)',
  APP_IMAGE: 'the image that `build-image.mjs cpu` gave',
  PYTHON_IMAGE: 'docker.io/library/python:3.12-slim-bookworm',
  CUDA_IMAGE:
    'onnx-cuda: docker.io/nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04; tfjs-cuda: docker.io/nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04',
};
/** Images of this machine have no registry that could change them. */
const PINNED = /@sha256:[0-9a-f]{64}$|^localhost\//;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tag: { type: 'string', default: '' },
    base: { type: 'string', multiple: true, default: [] },
    builder: { type: 'string' },
    npmrc: { type: 'string' },
  },
});
const [image = '', ...further] = positionals;
const file = join('infra/containers', `${image}.Dockerfile`);
const wanted = [...(read(file) ?? stop('Name an image: cpu, onnx-cuda or tfjs-cuda')).matchAll(/^ARG (\w+_IMAGE)$/gm)];
const given = new Map(values.base.map(base => [base.split('=')[0], base.slice(base.indexOf('=') + 1)]));
for (const [, name] of wanted) {
  const reference = given.get(name);
  if (reference === undefined) stop(`Give --base ${name}=REFERENCE@sha256:..., of ${BASES[name]}`);
  if (!PINNED.test(reference))
    stop(`${name}: expected a reference with a digest (@sha256:...) but received ${reference}`);
}
for (const name of given.keys()) if (!wanted.some(([, other]) => other === name)) stop(`${image} has no base ${name}`);
if (values.tag === '') stop('Name the result: --tag NAME');

const builder = values.builder ?? ['docker', 'podman', 'buildah'].find(name => onPath(name) !== undefined);
if (builder === undefined) stop('Neither docker nor podman nor buildah is on the PATH');
const { version } = JSON.parse(read('package.json'));
const revision = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).stdout.trim() || 'unknown';
const args = [
  ...['build', '--file', file, '--tag', values.tag],
  ...[...given].flatMap(([name, reference]) => ['--build-arg', `${name}=${reference}`]),
  ...['--build-arg', `VERSION=${version}`, '--build-arg', `REVISION=${revision}`],
  ...(values.npmrc === undefined ? [] : ['--secret', `id=npmrc,src=${values.npmrc}`]),
  // The format of OCI knows no health check.
  ...(builder === 'docker' ? [] : ['--format', 'docker']),
  ...further,
  '.',
];
process.exitCode = spawnSync(builder, args, { cwd: root, stdio: 'inherit' }).status ?? 1;

function read(path) {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return undefined;
  }
}

function stop(message) {
  console.error(message);
  process.exit(2);
}
