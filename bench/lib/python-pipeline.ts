/** bench/peers/pipeline.py as a partner in measurements. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { OnnxModel } from '../../src/models/model.js';
import { fromRoot } from './folders.js';
import { pythonFor } from './python.js';

export interface PythonRound {
  readonly seconds: number;
  /** Voted class index of each image, in their order. */
  readonly labels: readonly number[];
}

export class PythonPipeline {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #lines: Interface;
  #complaints = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout! });
    this.#answers = this.#lines[Symbol.asyncIterator]();
    child.stderr!.setEncoding('utf8').on('data', text => {
      this.#complaints = (this.#complaints + text).slice(-2000);
    });
    // A write to a process that died fails here as well; the missing answer tells.
    child.stdin!.on('error', () => undefined);
  }

  /**
   * Starts the processes and waits until they have the model live.
   *
   * @param scratch folder for the network
   * @returns why it cannot be, where Python or its packages are not there
   * @throws Error where the script fails
   */
  static async start(model: OnnxModel, processes: number, scratch: string): Promise<PythonPipeline | string> {
    const { head, output, session } = model.network;
    if (head?.linear === undefined) return 'The model has no linear head to make activation maps from.';
    const python = pythonFor('pipeline.txt');
    if ('missing' in python) return python.missing;
    const [network, weights] = [join(scratch, 'model.onnx'), join(scratch, 'head.f32')];
    writeFileSync(network, session);
    writeFileSync(weights, head.linear.weights);
    const script = fromRoot('bench/peers/pipeline.py');
    const args = [script, network, weights, output.name, head.features, String(processes)];
    const pipeline = new PythonPipeline(spawn(python.path, args, { env: { ...process.env, OMP_NUM_THREADS: '1' } }));
    await pipeline.#answer();
    return pipeline;
  }

  async defend(files: readonly string[]): Promise<PythonRound> {
    this.#child.stdin!.write(`${JSON.stringify(files)}\n`);
    return JSON.parse(await this.#answer()) as PythonRound;
  }

  async close(): Promise<void> {
    const exited = new Promise(resolve => this.#child.once('exit', resolve));
    this.#child.stdin!.end();
    this.#lines.close();
    await exited;
  }

  async #answer(): Promise<string> {
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error(`bench/peers/pipeline.py ended: ${this.#complaints.trim()}`);
    return value;
  }
}
