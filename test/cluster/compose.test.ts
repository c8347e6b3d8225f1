/** The pipeline on one machine with Docker: whether its file is one, and whether it says what Deflector understands. */
import { strictEqual as equal, match, ok } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { SETTING_NAMES, variableOf } from '../../src/config/table.js';
import { deflector } from '../helpers/cli.js';
import { REPOSITORY } from '../helpers/repository.js';
import { call } from './chart.js';

const FILE = join(REPOSITORY, 'infra/compose.yaml');

interface Service {
  readonly image: string;
  readonly build?: { readonly dockerfile: string };
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly { readonly host_ip: string }[];
  readonly stop_grace_period?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly volumes?: readonly { readonly type: string; readonly source: string }[];
}

describe('infra/compose.yaml', () => {
  let services: Readonly<Record<string, Service>>;
  let own: (readonly [name: string, service: Service])[];

  before(async () => {
    // As the reference reader understands it: variables, anchors and short forms written out.
    const { code, stdout, stderr } = await call(
      'compose-spec',
      [FILE],
      { ...process.env, COMPOSE_PROFILES: '*' },
      // As Docker does, it takes paths from where the file lies.
      dirname(FILE),
    );
    equal(code, 0, stderr);
    services = parse(stdout).services;
    own = Object.entries(services).filter(([, { build }]) => build !== undefined);
  });

  it('has all parts of the pipeline', () => {
    for (const name of ['redis', 's3', 'defend', 'publish', 'gateway', 'prometheus', 'grafana']) {
      ok(services[name] !== undefined, name);
    }
  });

  it('calls commands of Deflector with flags that they have', async () => {
    for (const [name, { command }] of own) {
      const { code, stdout } = await deflector([command[0]!, '--help'], { cwd: REPOSITORY });
      equal(code, 0, name);
      const flags = new Set(stdout.match(/--[a-z0-9-]+/g));
      for (const [flag] of command.filter(arg => arg.startsWith('--')).map(arg => arg.split('='))) {
        ok(flags.has(flag!), `${name}: ${flag}`);
      }
    }
  });

  it('sets variables that Deflector reads', () => {
    const known = new Set(SETTING_NAMES.map(variableOf));
    for (const [name, { environment = {} }] of own) {
      for (const variable of Object.keys(environment)) {
        ok(known.has(variable) || /^AWS_/.test(variable), `${name}: ${variable}`);
      }
    }
  });

  it('gives workers more time to stop than they take', () => {
    for (const [name, { command, stop_grace_period = '' }] of own) {
      const drain = command.find(arg => arg.startsWith('--drain='))?.slice('--drain='.length);
      if (drain === undefined) continue;
      ok(Number(stop_grace_period.replace(/s$/, '')) > Number(drain) + 5, `${name}: ${stop_grace_period}`);
    }
  });

  it('opens ports on this machine only, and gives no container more than it needs', () => {
    for (const [name, { ports = [], read_only, cap_drop = [] }] of Object.entries(services)) {
      for (const { host_ip } of ports) equal(host_ip, '127.0.0.1', name);
      equal(read_only, true, name);
      equal(cap_drop.join(), 'ALL', name);
    }
  });

  it('builds and mounts what is there, and pins the versions of what it fetches', () => {
    for (const [name, { build, image, volumes = [] }] of Object.entries(services)) {
      if (build !== undefined) ok(existsSync(join(REPOSITORY, build.dockerfile)), name);
      else match(image, /^[\w.-]+(?:\/[\w.-]+)+:v?\d+\.\d+/, name);
      for (const { type, source } of volumes) if (type === 'bind') ok(existsSync(source), `${name}: ${source}`);
    }
  });

  it('shows no address or flag in its words of use that its services do not have', () => {
    const text = readFileSync(FILE, 'utf8');
    for (const [, port] of text.matchAll(/http:\/\/localhost:(\d+)/g)) {
      ok(text.includes(`127.0.0.1:${port}:`), port);
    }
  });
});
