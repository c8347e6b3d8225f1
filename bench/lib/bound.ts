/**
 * The bound: how many forward passes a second this machine does when nothing else is asked of it. Bare calls of ONNX
 * Runtime on a batch that stays the same, in the ways that can be the fastest.
 */
import { Worker } from 'node:worker_threads';
import type { OnnxModel } from '../../src/models/model.js';
import type { LoopRequest, LoopWork } from './bound-thread.js';

export interface LoopRate {
  readonly passesPerSecond: number;
  /** CPU time of the process for one pass. */
  readonly cpuMsPerPass: number;
}

/** A way to call ONNX Runtime over and over. */
export interface BareLoop {
  readonly name: string;
  /** Does `passes` forward passes, or a few more to fill the last batches. */
  run(passes: number): Promise<LoopRate>;
}

export interface BareLoops {
  /** One session with a thread for each core, and one session with one thread for each core, at each batch size. */
  readonly loops: readonly BareLoop[];
  close(): Promise<void>;
}

/** Opens the sessions and does one pass in each. */
export async function openBareLoops(model: OnnxModel, cores: number, batches: readonly number[]): Promise<BareLoops> {
  const { network, preprocessing } = model;
  const { width, height } = preprocessing;
  const work = {
    network: network.session,
    input: network.input.name,
    output: network.output.name,
    shape: network.input.layout === 'nchw' ? [3, height, width] : [height, width, 3],
  };
  const one = [await LoopThread.start({ ...work, threads: cores })];
  const many = await Promise.all(Array.from({ length: cores }, () => LoopThread.start({ ...work, threads: 1 })));
  const ways = [
    { name: `one session, ${cores} threads`, threads: one },
    { name: `${cores} sessions, one thread each`, threads: many },
  ];
  const loops = ways.flatMap(({ name, threads }) =>
    batches.map(batch => ({
      name: `${name}, batch ${batch}`,
      run: (passes: number) => measureLoop(threads, passes, batch),
    })),
  );
  return {
    loops,
    close: async () => {
      await Promise.all([...one, ...many].map(thread => thread.close()));
    },
  };
}

async function measureLoop(threads: readonly LoopThread[], passes: number, batch: number): Promise<LoopRate> {
  const calls = Math.ceil(passes / batch / threads.length);
  const done = calls * batch * threads.length;
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(threads.map(thread => thread.run({ calls, batch })));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { passesPerSecond: done / seconds, cpuMsPerPass: (user + system) / 1000 / done };
}

class LoopThread {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async start(work: LoopWork): Promise<LoopThread> {
    const thread = new LoopThread(new Worker(new URL('./bound-thread.js', import.meta.url), { workerData: work }));
    await thread.run({ calls: 1, batch: 1 });
    return thread;
  }

  run(request: LoopRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.once('error', reject).once('message', () => {
        this.#worker.off('error', reject);
        resolve();
      });
      this.#worker.postMessage(request);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
