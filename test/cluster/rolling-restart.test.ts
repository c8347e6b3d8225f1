/** An upgrade in the middle of a job, stage by stage, as the chart's deployments do it: first a new pod, then an old one less. */
import { deepStrictEqual as deepEqual, strictEqual as equal } from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ServiceProcess } from '../helpers/cli.js';
import { deployment, until } from '../helpers/distributed.js';
import { type Manifest, render } from './chart.js';

const IMAGES = 400;
const PER_CHUNK = 4;

describe('a rolling restart of every stage in the middle of a job', () => {
  it('loses nothing, counts nothing twice, and drains within the grace time', async t => {
    const manifests = await render('--set', 'stages.fetch.enabled=true');
    const deployments = manifests.filter(({ kind }) => kind === 'Deployment');
    const { enqueue, worker, results, embedded, progress } = await deployment(t, IMAGES);
    const expected = await embedded();
    await enqueue('job', '--chunk', `${PER_CHUNK}`, '--fetch', 'separate');
    const pods = new Map<string, ServiceProcess[]>();
    const start = async (stage: string) => {
      // Each image takes its time, so that there is always something in hand.
      return worker([stage, ...drainOf(deployments, stage)], stage === 'defend' ? '*=slow' : '');
    };
    for (const stage of ['fetch', 'defend', 'publish']) {
      pods.set(stage, await Promise.all([start(stage), start(stage)]));
    }
    await until(async () => (await progress('job')).done >= 2);
    for (const [stage, old] of pods) {
      for (const pod of old) {
        await start(stage);
        const { state } = await progress('job');
        const asked = performance.now();
        // A worker that is not done within its limit of draining ends itself, with another exit code.
        equal(await pod.end('SIGTERM'), 0, pod.log());
        const seconds = (performance.now() - asked) / 1000;
        t.diagnostic(`${stage} drained in ${seconds.toFixed(1)} s of ${graceOf(deployments, stage)}, job ${state}`);
        if (stage === 'defend') equal(state, 'running');
      }
    }
    deepEqual(await results('job'), expected);
    const { state, done, dead, verdicts } = await progress('job');
    deepEqual([state, done, dead, verdicts.total], ['complete', IMAGES / PER_CHUNK, 0, IMAGES]);
  });
});

function podOf(deployments: readonly Manifest[], stage: string): Manifest {
  return deployments.find(({ metadata }) => metadata.name.endsWith(`-${stage}`)).spec.template.spec;
}

/** The arguments by which the chart says how long a pod may drain, and how many chunks it has in hand. */
function drainOf(deployments: readonly Manifest[], stage: string): string[] {
  const { args } = podOf(deployments, stage).containers[0];
  return args.filter((arg: string) => /^--(?:drain|concurrency)=/.test(arg));
}

function graceOf(deployments: readonly Manifest[], stage: string): number {
  return podOf(deployments, stage).terminationGracePeriodSeconds;
}
