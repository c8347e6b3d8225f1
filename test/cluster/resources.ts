/** Resources that the tests of the chart need on an API server. */
import { strictEqual as equal, ok } from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import type { ApiServer } from '../helpers/kubernetes.js';

export async function createNamespace({ call: ask }: ApiServer, name: string, labels = {}): Promise<void> {
  const { status, body } = await ask('POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels },
  });
  equal(status, 201, JSON.stringify(body));
}

/** Those whose definitions lie in the folders of CUSTOM_RESOURCES; resolves once the server serves them. */
export async function installCustomResources({ call: ask }: ApiServer): Promise<void> {
  const paths: string[] = [];
  for (const folder of (process.env.CUSTOM_RESOURCES ?? '').split(':')) {
    for (const file of await readdir(folder)) {
      for (const document of parseAllDocuments(await readFile(join(folder, file), 'utf8'))) {
        const definition = document.toJS();
        if (definition?.kind !== 'CustomResourceDefinition') continue;
        const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
        const { status, body } = await ask('POST', path, definition);
        equal(status, 201, JSON.stringify(body));
        const { group, versions, names } = definition.spec;
        paths.push(`/apis/${group}/${versions[0].name}/${names.plural}`);
      }
    }
  }
  const deadline = performance.now() + 120_000;
  for (const path of paths) {
    while ((await ask('GET', path)).status !== 200) {
      ok(performance.now() < deadline, `${path} is not served`);
      await sleep(200);
    }
  }
  // Its description of itself follows a little later.
  for (const wanted of ['ScaledObject', 'PrometheusRule']) {
    while (!JSON.stringify((await ask('GET', '/openapi/v2')).body).includes(`"${wanted}"`)) {
      ok(performance.now() < deadline, `${wanted} is not described`);
      await sleep(500);
    }
  }
}
