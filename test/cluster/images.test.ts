/** The images: their files by hadolint, and the CPU image built and used, on a base made of Debian's own packages. */
import { deepStrictEqual as deepEqual, strictEqual as equal, match, ok } from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { deflector } from '../helpers/cli.js';
import { REPOSITORY } from '../helpers/repository.js';
import { timelessLines } from '../helpers/results.js';
import { call } from './chart.js';

const FOLDER = join(REPOSITORY, 'infra/containers');
const FILES = readdirSync(FOLDER).filter(name => name.endsWith('.Dockerfile'));
const BASE = 'localhost/deflector-test-base';
const IMAGE = 'localhost/deflector-test';
const USER = '10001:10001';

describe('files of images', () => {
  for (const file of FILES) {
    const text = readFileSync(join(FOLDER, file), 'utf8');

    it(`${file} passes hadolint`, async () => {
      const { code, stdout } = await call('hadolint', [join(FOLDER, file)]);
      equal(code, 0, stdout);
    });

    it(`${file} leaves every base to a digest, runs as a user who is not root, and has a health check`, () => {
      for (const [, base] of text.matchAll(/^FROM (\S+)/gm)) {
        match(base!, /^\$\{\w+_IMAGE\}$/);
        match(text, new RegExp(`^ARG ${base!.slice(2, -1)}$`, 'm'));
      }
      match(text, new RegExp(`^USER ${USER}$`, 'm'));
      match(text, /^HEALTHCHECK /m);
    });
  }

  it('are built on no base without a digest', async () => {
    const args = ['scripts/build-image.mjs', 'cpu', '--tag', 'x', '--base', 'NODE_IMAGE=docker.io/library/node:24'];
    const { code, stderr } = await call(process.execPath, args);
    equal(code, 2);
    match(stderr, /NODE_IMAGE: expected a reference with a digest/);
  });

  it('name the bases that are missing, and what they stand for', async () => {
    const { code, stderr } = await call(process.execPath, ['scripts/build-image.mjs', 'onnx-cuda', '--tag', 'x']);
    equal(code, 2);
    match(stderr, /Give --base APP_IMAGE=.*build-image\.mjs cpu/);
  });
});

describe('the CPU image', () => {
  let folder: string;
  let env: NodeJS.ProcessEnv;
  let container: string;

  const buildah = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await call('buildah', args, env);
    equal(code, 0, stderr);
    return stdout.trim();
  };
  const inside = (...command: string[]) => call('buildah', ['run', container, '--', ...command], env);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deflector-images-'));
    env = { ...process.env, BUILDAH_ISOLATION: 'chroot', CONTAINERS_STORAGE_CONF: join(folder, 'storage.conf') };
    const storage = `driver = "vfs"\ngraphroot = "${folder}/graph"\nrunroot = "${folder}/run"\n`;
    await writeFile(join(folder, 'storage.conf'), `[storage]\n${storage}`);
    const base = await buildah('from', 'scratch');
    await buildah('add', '--quiet', base, process.env.BASE_ARCHIVE ?? '', '/');
    await buildah('commit', '--quiet', '--rm', base, BASE);
    await build();
    container = await buildah('from', IMAGE);
  });
  after(async () => {
    await buildah('rm', '--all');
    await rm(folder, { recursive: true, force: true });
  });

  /** By the script that people call, with this machine's registry, authorities and cache of packages. */
  async function build(): Promise<void> {
    const config = async (key: string) => (await call('npm', ['config', 'get', key])).stdout.trim();
    const cafile = await config('cafile');
    const trusted = cafile === 'null' ? (process.env.NODE_EXTRA_CA_CERTS ?? '') : cafile;
    const lines = [`registry=${await config('registry')}`];
    const volumes = [`${await config('cache')}:/root/.npm`];
    if (trusted !== '') {
      lines.push('cafile=/etc/authorities.pem');
      volumes.push(`${trusted}:/etc/authorities.pem:ro`);
    }
    await writeFile(join(folder, 'npmrc'), `${lines.join('\n')}\n`);
    const { code, stdout, stderr } = await call(
      process.execPath,
      [
        ...['scripts/build-image.mjs', 'cpu', '--tag', IMAGE, '--builder', 'buildah'],
        ...['--base', `NODE_IMAGE=${BASE}`, '--npmrc', join(folder, 'npmrc'), '--'],
        ...volumes.flatMap(volume => ['--volume', volume]),
      ],
      env,
    );
    equal(code, 0, `${stdout}${stderr}`);
  }

  it('says what it is, who it runs as and how it is asked for its health', async () => {
    const { Docker: image } = JSON.parse(await buildah('inspect', '--type', 'image', IMAGE));
    equal(image.config.User, USER);
    deepEqual(image.config.Entrypoint, ['deflector']);
    deepEqual(image.config.Healthcheck.Test.slice(0, 2), ['CMD', 'node']);
    const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
    equal(image.config.Labels['org.opencontainers.image.version'], version);
  });

  it('runs as a user without rights, who can write nothing but /tmp', async () => {
    equal((await inside('id', '-u')).stdout.trim(), '10001');
    for (const place of ['/app', '/app/models', '/app/node_modules', '/etc', '/usr/local/bin']) {
      equal((await inside('test', '-w', place)).code, 1, place);
    }
  });

  it('finds everything in order: deflector doctor', async () => {
    const { code, stdout, stderr } = await inside('deflector', 'doctor');
    equal(code, 0, `${stdout}${stderr}`);
  });

  it('defends the samples, and gives the bytes that this checkout gives', async () => {
    const args = ['--seed', '1', '--runs', '3', '--threads', '1', '--quiet'];
    const { code, stderr } = await inside('deflector', 'run', '/app/samples', '--out', '/tmp/out', ...args);
    equal(code, 0, stderr);
    const mount = await buildah('mount', container);
    await mkdir(join(folder, 'inside'));
    await cp(join(mount, 'tmp/out/results.jsonl'), join(folder, 'inside/results.jsonl'));
    const outside = await deflector(['run', 'samples', '--out', join(folder, 'outside'), ...args], { cwd: REPOSITORY });
    equal(outside.code, 0, outside.stderr);
    deepEqual(
      await timelessLines(join(folder, 'inside/results.jsonl')),
      await timelessLines(join(folder, 'outside/results.jsonl')),
    );
  });

  it('lists its packages, and brings the licence of each', async () => {
    const lock = JSON.parse(readFileSync(join(REPOSITORY, 'package-lock.json'), 'utf8'));
    const { components } = JSON.parse((await inside('cat', '/app/sbom.cdx.json')).stdout);
    const listed = new Set(components.map(({ purl }: { purl: string }) => decodeURIComponent(purl)));
    const licences = (await inside('cat', '/app/licences/packages.txt')).stdout;
    const own: [string, { version: string; dev?: boolean; devOptional?: boolean; optional?: boolean }][] =
      Object.entries(lock.packages);
    for (const [path, { version, dev, devOptional, optional }] of own) {
      if (path === '' || dev || devOptional || optional) continue;
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
      ok(listed.has(`pkg:npm/${name}@${version}`), `${name} ${version} in the SBOM`);
      ok(licences.includes(`${name} ${version}: `), `${name} ${version} among the licences`);
    }
  });

  it('has what the package brings beside compiled code', async () => {
    const { files }: { files: string[] } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
    for (const path of files.filter(file => /^(?:src|models|samples|NOTICE)/.test(file))) {
      equal((await inside('test', '-e', join('/app', path))).code, 0, path);
    }
  });

  it('holds no test, no compiler and no secret of its build', async () => {
    for (const path of ['/app/dist/test', '/app/node_modules/typescript', '/root/.npmrc', '/app/test', '/app/.git']) {
      equal((await inside('test', '-e', path)).code, 1, path);
    }
  });
});
