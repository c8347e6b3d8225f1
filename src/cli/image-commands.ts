/** What `deflector defend` and `deflector explain` do once they are called: one image, in this process. */
import { basename, dirname, extname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { ResolvedOptions } from '../config/settings.js';
import { openEngine } from '../engine/engine.js';
import { engineSpecOf } from '../engine/engine-spec.js';
import { DeflectorError, invalid } from '../errors.js';
import { hardenDecoder } from '../images/decode.js';
import { decoderFor } from '../images/decoder.js';
import { encodeNpy, encodePng } from '../images/write.js';
import { prepareRuntimes } from '../models/native-runtimes.js';
import { drawPanel, type PanelOptions } from '../report/panel.js';
import { terminalStyle } from '../report/terminal-style.js';
import { visibleText } from '../report/visible-text.js';
import { labelName } from '../report/vote-bars.js';
import { formatVerdict } from '../sinks/verdict-json.js';
import { systemClock } from '../stages/common.js';
import type { DefendOutcome, Wanted } from '../stages/defend.js';
import { fetchImage, isFetched } from '../stages/fetch.js';
import { FileSystemStore } from '../storage/filesystem-store.js';
import { openInputs } from '../storage/inputs.js';
import type { FetchedImage, JobItem, Label, OkVerdict } from '../types.js';
import { EXIT } from './exit-codes.js';
import { settingsFromCommand } from './options.js';
import { recommendedRecipe } from './recommended-recipe.js';

interface ImageFlags {
  readonly out: string;
  readonly json?: boolean;
  readonly scale?: string;
}

/** @returns the exit code */
export async function defendCommand(path: string, command: Command): Promise<number> {
  const flags = command.optsWithGlobals<ImageFlags>();
  const kind = extname(flags.out).toLowerCase();
  if (kind !== '.png' && kind !== '.npy') throw invalid('--out', 'a file name that ends in .png or .npy', flags.out);
  const options = await settingsFromCommand(command, recommendedRecipe);
  // One run is written, so one run is made.
  const one: ResolvedOptions = { ...options, defence: { ...options.defence, runs: 1 } };
  const { image, outcome, verdict } = await defendFile(path, one, {
    defended: kind === '.png',
    planes: kind === '.npy',
  });
  const { width, height } = image.pixels;
  const bytes =
    kind === '.png'
      ? await encodePng(outcome.defended!)
      : encodeNpy(interleaved(outcome.planes!, width * height), [height, width, 3]);
  await save(flags.out, bytes);
  if (flags.json) process.stdout.write(`${formatVerdict(verdict)}\n`);
  else if (!options.quiet) {
    const size = `${width} x ${height}`;
    process.stdout.write(
      `${visibleText(flags.out)}: run 0 of seed ${visibleText(verdict.seed)}, ${size}\n` +
        `  undefended  ${labelName(verdict.undefended)}  ${verdict.undefended.probability.toFixed(3)}\n` +
        `  defended    ${labelName(verdict.label)}  ${verdict.probability.toFixed(3)}\n`,
    );
  }
  return EXIT.done;
}

/** @returns the exit code */
export async function explainCommand(path: string, command: Command): Promise<number> {
  const flags = command.optsWithGlobals<ImageFlags>();
  if (extname(flags.out).toLowerCase() !== '.png') throw invalid('--out', 'a file name that ends in .png', flags.out);
  const scale = panelScale(flags.scale);
  const options = await settingsFromCommand(command, recommendedRecipe);
  const { outcome, verdict, labels } = await defendFile(path, options, { explanation: true });
  await save(flags.out, await drawPanel(outcome.explanation!, { scale, labels }));
  if (flags.json) process.stdout.write(`${formatVerdict(verdict)}\n`);
  else if (!options.quiet) process.stdout.write(summary(flags.out, verdict));
  return EXIT.done;
}

function panelScale(text = '2'): NonNullable<PanelOptions['scale']> {
  const scale = ([1, 2, 3, 4] as const).find(known => String(known) === text);
  if (scale === undefined) throw invalid('--scale', '1, 2, 3 or 4', text);
  return scale;
}

function summary(out: string, verdict: OkVerdict): string {
  const style = terminalStyle(process.stdout, process.env);
  const { label, undefended, agreement, runsExecuted, runs, probability } = verdict;
  const note = verdict.suspicious ? style.warn('  suspicious: the vote changed the label') : '';
  return (
    `${visibleText(out)}: ${visibleText(verdict.key)}${note}\n` +
    `  undefended  ${labelName(undefended)}  ${undefended.probability.toFixed(3)}\n` +
    `  voted       ${style.bold(labelName(label))}  ${probability.toFixed(3)}, ` +
    `${Math.round(agreement * runsExecuted)} of ${runsExecuted} runs executed (${runs} asked for)\n`
  );
}

interface Defended {
  readonly image: FetchedImage;
  readonly outcome: DefendOutcome;
  readonly verdict: OkVerdict;
  readonly labels: readonly Label[];
}

/** @throws DeflectorError of the image's error, where it cannot be defended */
async function defendFile(path: string, options: ResolvedOptions, wanted: Wanted): Promise<Defended> {
  hardenDecoder();
  const inputs = await openInputs([path]);
  const items: JobItem[] = [];
  for await (const item of inputs.items()) if (items.push(item) > 1) break;
  const [item] = items;
  if (item === undefined || items.length > 1) throw invalid('IMAGE', 'one image file', path);
  const spec = engineSpecOf(options, options, options.threads);
  prepareRuntimes(spec);
  const engine = await openEngine(spec);
  try {
    const decode = decoderFor(engine.info.preprocessing, options.defence.at, options);
    const ports = { stores: inputs.stores, decode, clock: systemClock };
    const image = await fetchImage(item, ports, options);
    if (!isFetched(image)) throw new DeflectorError(image.error.code, `${path}: ${image.error.message}`);
    const outcome = await engine.defend(image, wanted);
    const { verdict } = outcome;
    if (verdict.status === 'error') throw new DeflectorError(verdict.error.code, `${path}: ${verdict.error.message}`);
    return { image, outcome, verdict, labels: engine.info.labels };
  } finally {
    await engine.close();
  }
}

/** Writes whole or not at all. */
function save(path: string, bytes: Uint8Array): Promise<void> {
  return new FileSystemStore(resolve(dirname(path))).write(basename(path), bytes);
}

/** Planes [3, n] as [n, 3]. */
function interleaved(planes: Float32Array, pixels: number): Float32Array {
  const out = new Float32Array(3 * pixels);
  for (let channel = 0; channel < 3; channel++) {
    for (let p = 0; p < pixels; p++) out[3 * p + channel] = planes[channel * pixels + p]!;
  }
  return out;
}
