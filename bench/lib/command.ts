/** What every benchmark's command line shares: `--json FILE`, `--help`, whole numbers, one way to end. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { type Machine, machine } from './machine.js';

/** A benchmark's result as it is written by `--json`. */
export interface BenchResult {
  readonly schema: 'deflector/bench@1';
  readonly name: string;
  readonly machine: Machine;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly figures: unknown;
}

/**
 * A benchmark as a command: `run` measures, prints its ratios on standard output and returns its figures.
 *
 * @param name of the file in bench/
 */
export function benchCommand<Options extends object>(
  name: string,
  description: string,
  run: (options: Options, args: readonly string[]) => Promise<unknown>,
): Command {
  return new Command(name)
    .description(description)
    .option('--json <file>', 'write the figures, the settings and the machine as JSON')
    .action(async (...given: unknown[]) => {
      const command = given.at(-1) as Command;
      const flags = command.opts<Options & { readonly json?: string }>();
      const { json, ...settings } = flags;
      const before = machine();
      console.log(describeMachine(before));
      const figures = await run(flags, command.args);
      if (json === undefined) return;
      const result: BenchResult = {
        schema: 'deflector/bench@1',
        name,
        machine: before,
        settings: { ...settings, args: command.args },
        figures,
      };
      mkdirSync(dirname(resolve(json)), { recursive: true });
      writeFileSync(json, `${JSON.stringify(result, undefined, 2)}\n`);
    });
}

/** Parses the arguments of the process and runs the benchmark; an error ends the process with exit code 1 and one line. */
export async function runBenchCommand(command: Command): Promise<void> {
  try {
    await command.parseAsync();
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    // Threads and processes of the benchmark may still be there.
    process.exit(1);
  }
}

/** A whole number of at least `least`, as commander parses option values. */
export function atLeast(least: number): (text: string) => number {
  return text => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least) {
      throw new InvalidArgumentError(`Expected a whole number of at least ${least} but received ${text}`);
    }
    return value;
  };
}

function describeMachine({ cpu, cores, load, node, onnxruntime }: Machine): string {
  const busy = load > cores / 4 ? '; busy, so look at ratios only' : '';
  return `${cpu}, ${cores} cores, Node.js ${node}, ONNX Runtime ${onnxruntime}; load ${load.toFixed(1)}${busy}`;
}
