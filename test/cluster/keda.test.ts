/** The chart's ScaledObject in the hands of KEDA's real operator: from zero to one for work, and back when there is none. */
import { strictEqual as equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { Queue } from 'bullmq';
import { deployment, until } from '../helpers/distributed.js';
import { startKeda } from '../helpers/keda.js';
import { startApiServer } from '../helpers/kubernetes.js';
import { telemetryUrl } from '../helpers/prometheus.js';
import { type Manifest, render, WITH_KEDA } from './chart.js';
import { createNamespace, installCustomResources } from './resources.js';

/** Seconds: the chart's defaults are too long to wait for. */
const QUICK = ['--set', 'autoscaling.pollingSeconds=1,stages.defend.autoscaling.cooldownSeconds=3'];
const PATIENCE_MS = 120_000;
/** After as many looks of KEDA at the queue something would have happened. */
const LOOKS = 5;

describe("KEDA's operator", () => {
  it('scales defend from zero for the first chunk and back after the last, and asks the HorizontalPodAutoscaler for more', async t => {
    const clean: (() => Promise<unknown>)[] = [];
    t.after(async () => {
      for (const close of clean.reverse()) await close();
    });
    const { redis, worker } = await deployment(t, 1);
    const { log } = await worker(['publish', '--metrics-port', '0']);
    const queue = new Queue('defend', {
      connection: { host: '127.0.0.1', port: redis.port, maxRetriesPerRequest: null },
      prefix: '{deflector}',
    });
    clean.push(() => queue.close());

    const server = await startApiServer();
    clean.push(() => server.stop());
    await installCustomResources(server);
    for (const name of ['keda', 'images']) await createNamespace(server, name);
    const create = async (path: string, manifest: Manifest) => {
      const { status, body } = await server.call('POST', path, manifest);
      equal(status, 201, JSON.stringify(body));
    };
    const manifests = await render(...WITH_KEDA, ...QUICK);
    const named = (kind: string): Manifest =>
      manifests.find(manifest => manifest.kind === kind && manifest.metadata.name.endsWith('-defend'));
    const scaled = named('ScaledObject');
    // There is no DNS of a cluster; the worker listens here.
    const service = await counting(telemetryUrl(log()));
    clean.push(() => service.stop());
    for (const { metadata } of scaled.spec.triggers) metadata.url = metadata.url.replace(/^http:..[^/]+/, service.url);
    await create('/apis/apps/v1/namespaces/images/deployments', named('Deployment'));
    await create('/apis/keda.sh/v1alpha1/namespaces/images/scaledobjects', scaled);

    const keda = await startKeda(server.kubeconfig);
    clean.push(() => keda.stop());
    const path = `/apis/apps/v1/namespaces/images/deployments/${scaled.metadata.name}`;
    const replicas = async (): Promise<number> => ((await server.call('GET', path)).body as Manifest).spec.replicas;
    const become = (wanted: number) =>
      until(async () => (await replicas()) === wanted, PATIENCE_MS).catch(async () => {
        throw new Error(`${await replicas()} replicas instead of ${wanted}:\n${keda.log().slice(-6000)}`);
      });

    await become(0);
    await queue.add('chunk', {}, { priority: 1 });
    await become(1);
    await queue.drain();
    await become(0);
    // Work in a queue that is paused wakes nobody, until it is resumed.
    await queue.pause();
    await queue.add('chunk', {});
    const asked = service.asked();
    await until(() => service.asked() >= asked + LOOKS * scaled.spec.triggers.length, PATIENCE_MS);
    equal(await replicas(), 0);
    await queue.resume();
    await become(1);

    const autoscaler = `/apis/autoscaling/v2/namespaces/images/horizontalpodautoscalers/${scaled.metadata.name}`;
    const { body } = await server.call('GET', autoscaler);
    const { minReplicas, maxReplicas, metrics, behavior } = (body as Manifest).spec;
    equal(minReplicas, 1);
    equal(maxReplicas, scaled.spec.maxReplicaCount);
    // One metric, which is the formula's: not one for each trigger.
    equal(metrics.length, 1);
    equal(metrics[0].external.target.averageValue, scaled.spec.advanced.scalingModifiers.target);
    ok(behavior.scaleDown.stabilizationWindowSeconds > 0);
  });
});

/** The service in front of a worker, which counts how often it is asked. */
async function counting(worker: string) {
  let asked = 0;
  const server = createServer(async ({ url }, response) => {
    asked++;
    const answer = await fetch(`${worker}${url}`).catch(() => undefined);
    response.writeHead(answer?.status ?? 502, { 'content-type': 'text/plain; version=0.0.4' });
    response.end(await answer?.text());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked: () => asked,
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
