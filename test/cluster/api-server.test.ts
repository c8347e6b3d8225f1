/** The chart against a real API server of Kubernetes, which knows the custom resources of KEDA and of the Prometheus Operator. */
import { deepStrictEqual as deepEqual, strictEqual as equal, match, ok } from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { type ApiServer, startApiServer } from '../helpers/kubernetes.js';
import { CHART, call, type Manifest, render, VALUE_SETS, WITH_KEDA } from './chart.js';
import { createNamespace, installCustomResources } from './resources.js';
import { SCHEMA_LOCATION, writeSchemas } from './schemas.js';

describe('the chart on a Kubernetes API server', () => {
  let server: ApiServer;
  let folder: string;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deflector-chart-'));
    server = await startApiServer();
    env = {
      ...process.env,
      KUBECONFIG: server.kubeconfig,
      HELM_CACHE_HOME: join(folder, 'helm-cache'),
      HELM_CONFIG_HOME: join(folder, 'helm-config'),
      HELM_DATA_HOME: join(folder, 'helm-data'),
    };
    await installCustomResources(server);
    await writeSchemas(server, join(folder, 'schemas'));
  });
  after(async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  for (const [name, file] of VALUE_SETS) {
    it(`gives valid manifests for the values ${name}`, async () => {
      const { stdout: manifests } = await call('helm', [
        ...['template', 'release', CHART, '--namespace', 'images', '--values', file],
        ...WITH_KEDA,
      ]);
      const path = join(folder, `${name}.yaml`);
      await writeFile(path, manifests);
      const location = join(folder, 'schemas', SCHEMA_LOCATION);
      const { code, stdout } = await call('kubeconform', ['-strict', '-summary', '-schema-location', location, path]);
      equal(code, 0, stdout);
      match(stdout, /Invalid: 0, Errors: 0, Skipped: 0/);
    });

    it(`is installed with the values ${name}, upgraded without a change, and leaves nothing`, async () => {
      await createNamespace(server, name);
      const helm = (...args: string[]) => call('helm', [...args, '--namespace', name], env);
      const installed = await helm('install', 'release', CHART, '--values', file);
      equal(installed.code, 0, installed.stderr);
      const stages = await deployments(server, name);
      ok(stages.some((stage: string) => stage.endsWith('-defend')));
      const upgraded = await helm('upgrade', 'release', CHART, '--values', file);
      equal(upgraded.code, 0, upgraded.stderr);
      deepEqual(await deployments(server, name), stages);
      const removed = await helm('uninstall', 'release', '--wait=false');
      equal(removed.code, 0, removed.stderr);
      deepEqual(await deployments(server, name), []);
    });

    it(`starts pods that the level restricted admits, with the values ${name}`, async () => {
      const space = `${name}-pods`;
      await createNamespace(server, space, { 'pod-security.kubernetes.io/enforce': 'restricted' });
      for (const manifest of await render('--values', file, ...WITH_KEDA)) {
        const template = manifest.spec?.template;
        if (template?.spec?.containers === undefined) continue;
        // The API server asks for classes that exist; those of the examples are of other clusters.
        const { runtimeClassName: _, priorityClassName: __, ...spec } = template.spec;
        // Of these the controllers make volumes, which stand in no template.
        const claims = (manifest.spec.volumeClaimTemplates ?? []).map((claim: Manifest) => ({
          name: claim.metadata.name,
          persistentVolumeClaim: { claimName: claim.metadata.name },
        }));
        spec.volumes = [...(spec.volumes ?? []), ...claims];
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: manifest.metadata.name }, spec };
        const { status, body } = await server.call('POST', `/api/v1/namespaces/${space}/pods?dryRun=All`, pod);
        equal(status, 201, JSON.stringify(body));
      }
    });
  }

  it('asks KEDA where the cluster has it, without being told', async () => {
    await createNamespace(server, 'auto');
    const { code, stderr } = await call('helm', ['install', 'release', CHART, '--namespace', 'auto'], env);
    equal(code, 0, stderr);
    const { body } = await server.call('GET', '/apis/keda.sh/v1alpha1/namespaces/auto/scaledobjects');
    const names = (body as Manifest).items.map((item: Manifest) => item.metadata.name);
    deepEqual(names, ['release-deflector-defend', 'release-deflector-publish']);
  });

  it('goes from one size of a stage to another by an upgrade, and back', async () => {
    await createNamespace(server, 'sizes');
    const helm = (...args: string[]) => call('helm', [...args, '--namespace', 'sizes'], env);
    const size = async (): Promise<number> => {
      const path = '/apis/apps/v1/namespaces/sizes/deployments/release-deflector-defend';
      return ((await server.call('GET', path)).body as Manifest).spec.replicas;
    };
    const fixed = ['--set', 'autoscaling.mode=none', '--set'];
    equal((await helm('install', 'release', CHART, ...fixed, 'stages.defend.replicas=2')).code, 0);
    equal(await size(), 2);
    equal((await helm('upgrade', 'release', CHART, ...fixed, 'stages.defend.replicas=5')).code, 0);
    equal(await size(), 5);
    equal((await helm('rollback', 'release', '1', '--wait=false')).code, 0);
    equal(await size(), 2);
  });

  it('refuses a manifest that is not valid: the validation is one', async () => {
    const [scaled] = (await render(...WITH_KEDA)).filter(({ kind }) => kind === 'ScaledObject');
    scaled.spec.minReplicaCount = 'none';
    const path = join(folder, 'wrong.yaml');
    await writeFile(path, stringify(scaled));
    const location = join(folder, 'schemas', SCHEMA_LOCATION);
    const { code, stdout } = await call('kubeconform', ['-strict', '-schema-location', location, path]);
    equal(code, 1);
    match(stdout, /minReplicaCount/);
  });
});

async function deployments({ call: ask }: ApiServer, namespace: string): Promise<string[]> {
  const { body } = await ask('GET', `/apis/apps/v1/namespaces/${namespace}/deployments`);
  return (body as Manifest).items.map((item: Manifest) => item.metadata.name);
}
