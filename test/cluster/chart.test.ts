/** What Helm makes of the chart: for every set of values among its examples, and for values that are wrong. */
import { deepStrictEqual as deepEqual, strictEqual as equal, match, ok } from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { deflector } from '../helpers/cli.js';
import { REPOSITORY } from '../helpers/repository.js';
import { CHART, call, type Manifest, render, VALUE_SETS, WITH_KEDA } from './chart.js';

/** Seconds after the limit of draining in which a worker that hangs ends itself: src/cli/worker-command.ts. */
const GRACE_SECONDS = 5;

describe('the chart', () => {
  it('has a README that is made from its values', async () => {
    const { stdout } = await call(process.execPath, ['scripts/print-chart-readme.mjs']);
    equal(readFileSync(join(CHART, 'README.md'), 'utf8'), stdout, 'run: npm run docs');
  });

  it('passes its unit tests', async () => {
    const { code, stdout, stderr } = await call('untt', ['--strict', CHART]);
    equal(code, 0, `${stdout}${stderr}`);
  });

  for (const [name, file] of VALUE_SETS) {
    describe(`with the values ${name}`, () => {
      let manifests: Manifest[];
      before(async () => {
        manifests = await render('--values', file, ...WITH_KEDA);
      });

      it('passes helm lint', async () => {
        const { code, stdout } = await call('helm', ['lint', '--strict', CHART, '--values', file]);
        equal(code, 0, stdout);
      });

      it('calls commands of Deflector with flags that they have', async () => {
        const calls = manifests.flatMap(callsOf);
        ok(calls.length > 0);
        for (const args of calls) {
          const command = args[0] === 'jobs' ? args.slice(0, 2) : args.slice(0, 1);
          const flags = await flagsOf(command);
          for (const [flag] of args.filter(arg => arg.startsWith('--')).map(arg => arg.split('='))) {
            ok(flags.has(flag!), `deflector ${command.join(' ')} ${flag}`);
          }
        }
      });

      it('gives pods of every stage more time to go than their workers take', () => {
        for (const { spec, metadata } of manifests.filter(({ kind }) => kind === 'Deployment')) {
          const { terminationGracePeriodSeconds, containers } = spec.template.spec;
          const drain = /^--drain=(\d+)$/.exec(
            containers[0].args.find((arg: string) => arg.startsWith('--drain=')),
          )?.[1];
          const hook = containers[0].lifecycle?.preStop?.sleep?.seconds ?? 0;
          ok(terminationGracePeriodSeconds > Number(drain) + GRACE_SECONDS + hook, metadata.name);
        }
      });

      it('runs every container under the Pod Security level restricted, on a root file system that is read-only', () => {
        for (const pod of podsOf(manifests)) {
          equal(pod.securityContext.runAsNonRoot, true);
          ok(pod.securityContext.runAsUser > 0);
          equal(pod.securityContext.seccompProfile.type, 'RuntimeDefault');
          equal(pod.automountServiceAccountToken, false);
          for (const { securityContext } of [...(pod.initContainers ?? []), ...pod.containers]) {
            equal(securityContext.readOnlyRootFilesystem, true);
            equal(securityContext.allowPrivilegeEscalation, false);
            equal(securityContext.capabilities.drop.join(), 'ALL');
          }
        }
      });

      it('says in plain words what was installed', async () => {
        const args = ['install', 'release', CHART, '--dry-run=client', '--values', file];
        const { code, stdout, stderr } = await call('helm', args);
        equal(code, 0, stderr);
        match(stdout, /defend +\S.* pods/);
      });
    });
  }

  describe('refuses', () => {
    const wrong: readonly (readonly [values: string, named: RegExp])[] = [
      ['stages.defend.concurrency=99', /\/stages\/defend\/concurrency': maximum: got 99, want 64/],
      ['stages.defend.concurency=2', /\/stages\/defend': additional properties 'concurency' not allowed/],
      ['stages.publsh.replicas=2', /\/stages': additional properties 'publsh' not allowed/],
      ['stages.defend.drainSeconds=soon', /\/stages\/defend\/drainSeconds': got string, want integer/],
      ['stages.defend.disruptionBudget.maxUnavailable=0%', /\/stages\/defend\/disruptionBudget\/maxUnavailable'/],
      ['stages.defend.gpu.count=2', /\/stages\/defend\/gpu\/count': maximum: got 2, want 1/],
      ['stages.defend.gpu.resource=gpu', /\/stages\/defend\/gpu\/resource'/],
      ['stages.defend.extraArgs[0]=quiet', /\/stages\/defend\/extraArgs\/0'/],
      ['autoscaling.mode=vpa', /\/autoscaling\/mode'/],
      ['image.digest=latest', /\/image\/digest'/],
      ['image.registry=https://ghcr.io', /\/image\/registry'/],
      ['redis.url=http://redis', /\/redis\/url'/],
      ['redis.url=redis://user:secret@redis', /\/redis\/url'/],
      ['s3.addressing=dns', /\/s3\/addressing'/],
      ['metrics.port=80', /\/metrics\/port': minimum: got 80, want 1,?024/],
      ['jobs.a.out=s3://b/c', /\/jobs\/a': missing property 'inputs'/],
      ['jobs.UPPER.out=s3://b/c', /\/jobs.*UPPER/],
      ['redis.bundled.enabled=false', /redis\.url: give the address of a Redis/],
      [
        'redis.url=redis://a,redis.existingSecret.name=b',
        /redis\.url and redis\.existingSecret\.name: give one of them/,
      ],
      ['redis.cluster=true', /redis\.cluster and redis\.sentinelMaster: the bundled Redis is neither/],
      [
        'stages.defend.autoscaling.minReplicas=20',
        /stages\.defend\.autoscaling\.minReplicas: 20 is more than maxReplicas, 10/,
      ],
      ['stages.publish.autoscaling.minReplicas=0', /stages\.publish\.autoscaling\.minReplicas: at least 1/],
      [
        'autoscaling.mode=keda,stages.publish.enabled=false',
        /stages\.publish\.enabled: stages\.defend\.autoscaling by KEDA/,
      ],
      ['stages.defend.serviceAccount.create=false', /stages\.defend\.serviceAccount\.name: give the name/],
      [
        'jobs.a.inputs[0]=/in,jobs.a.out=/out',
        /jobs\.a\.out: give s3:\/\/bucket\/prefix, or a folder below sharedVolume/,
      ],
      ['stages.ingest.enabled=true', /ingest\.existingSecret: give the name of a secret with DEFLECTOR_TOKENS/],
      ['ingest.allow[0]=s3://in', /ingest\.out: give the folder/],
      ['ingest.ingress.enabled=true', /ingest\.ingress\.host: give the name/],
    ];
    for (const [setting, named] of wrong) {
      it(setting, async () => {
        const { code, stderr } = await call('helm', ['template', 'release', CHART, '--set', setting]);
        equal(code, 1);
        match(stderr, named);
      });
    }
  });

  it('brings rules and dashboards as they are in infra/', async () => {
    const manifests = await render('--set', 'metrics.rules.enabled=true,metrics.dashboards.enabled=true');
    const infra = (path: string): string => readFileSync(join(REPOSITORY, 'infra', path), 'utf8');
    const groups = ['alerts', 'recording'].flatMap(name => parse(infra(`prometheus/${name}.yaml`)).groups);
    deepEqual(manifests.find(({ kind }) => kind === 'PrometheusRule').spec.groups, groups);
    const files = manifests
      .filter(({ kind }) => kind === 'ConfigMap')
      .flatMap(({ data }) => Object.entries<string>(data));
    const dashboards = files.filter(([name]) => name.endsWith('.json'));
    equal(dashboards.length, readdirSync(join(REPOSITORY, 'infra/grafana/dashboards')).length);
    for (const [name, text] of dashboards) equal(`${text}\n`, infra(`grafana/dashboards/${name}`));
  });
});

/** The commands of Deflector that a manifest starts. */
function callsOf(manifest: Manifest): string[][] {
  return podsOf([manifest])
    .flatMap(pod => [...(pod.initContainers ?? []), ...pod.containers])
    .filter(({ name }) => name !== 'redis')
    .map(({ args }) => args);
}

function podsOf(manifests: readonly Manifest[]): Manifest[] {
  return manifests
    .filter(({ kind }) => ['Deployment', 'StatefulSet', 'Job'].includes(kind))
    .map(({ spec }) => spec.template.spec);
}

const helps = new Map<string, Promise<ReadonlySet<string>>>();

function flagsOf(command: readonly string[]): Promise<ReadonlySet<string>> {
  const key = command.join(' ');
  const known = helps.get(key);
  if (known !== undefined) return known;
  const asked = deflector([...command, '--help'], { cwd: REPOSITORY }).then(
    ({ stdout }) => new Set(stdout.match(/--[a-z0-9-]+/g)),
  );
  helps.set(key, asked);
  return asked;
}
