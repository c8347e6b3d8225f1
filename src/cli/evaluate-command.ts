/** What `deflector evaluate` does once it is called. */
import type { Command } from 'commander';
import { EVALUATION_FILES, type EvaluationObserver, runEvaluation } from '../../pipelines/evaluate-job.js';
import { integer } from '../config/value-types.js';
import { invalid } from '../errors.js';
import type { EvaluationReport } from '../evaluation/evaluation-report.js';
import type { Shard } from '../evaluation/model-evaluation.js';
import { counted, duration } from '../report/numbers.js';
import { createProgress } from '../report/progress.js';
import { openDestination } from '../sinks/destination.js';
import { S3Connection } from '../storage/s3-connection.js';
import { EXIT } from './exit-codes.js';
import { settingsFromCommand } from './options.js';
import { recommendedRecipe } from './recommended-recipe.js';
import { stoppable } from './stoppable.js';

interface EvaluateFlags {
  readonly data: string;
  readonly out: string;
  readonly images?: string;
  readonly labels?: string;
  readonly compare?: readonly string[];
  readonly cache?: string;
  readonly shard?: string;
  readonly json?: boolean;
}

/** Pixels of so many images are held at a time. */
const MOST_IMAGES = 10_000;

/** @returns the exit code */
export async function evaluateCommand(protocol: string, command: Command): Promise<number> {
  const flags = command.opts<EvaluateFlags>();
  const options = await settingsFromCommand(command, recommendedRecipe);
  const quiet = options.quiet || flags.json === true;
  const request = {
    ...{ protocol, data: flags.data, out: flags.out, cache: flags.cache, labels: flags.labels, options },
    images: flags.images === undefined ? undefined : imagesOf(flags.images),
    models: flags.compare ?? [],
    shard: flags.shard === undefined ? undefined : shardOf(flags.shard),
    recipe: await recommendedRecipe(options.model),
  };
  const progress = createProgress({ quiet, tty: process.stderr.isTTY === true, note: 'fooled' });
  const counts = { done: 0, suspicious: 0, failed: 0 };
  const observer: EvaluationObserver = {
    total: images => {
      counts.done = 0;
      counts.suspicious = 0;
      progress.setTotal(images);
    },
    done: ({ attacked, label }) => {
      counts.done++;
      if (attacked !== label) counts.suspicious++;
      progress.update({ ...counts });
    },
    climbed: (done, total) => {
      progress.setTotal(total);
      progress.update({ done, suspicious: 0, failed: 0 });
    },
  };
  try {
    return await stoppable(quiet, async signal => {
      const report = await runEvaluation(request, observer, signal);
      progress.stop();
      if (signal.aborted) return EXIT.interrupted;
      if (report === undefined) return EXIT.done;
      if (flags.json) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
      else if (!options.quiet) process.stdout.write(closing(report, flags.out, options));
      return EXIT.done;
    });
  } finally {
    progress.stop();
  }
}

function imagesOf(text: string): number {
  const type = integer(1, MOST_IMAGES);
  const images = type.parse(text);
  if (images === undefined) throw invalid('--images', type.expected, text);
  return images;
}

function shardOf(text: string): Shard {
  const [index, count, ...rest] = text.split('/').map(part => (/^\d+$/.test(part) ? Number(part) : Number.NaN));
  if (index === undefined || count === undefined || rest.length > 0 || !(index >= 1 && index <= count)) {
    throw invalid('--shard', 'a part and the number of parts, as 2/8', text);
  }
  return { index: index - 1, count };
}

function closing(
  report: EvaluationReport,
  out: string,
  options: ConstructorParameters<typeof S3Connection>[0],
): string {
  const destination = openDestination(out, new S3Connection(options));
  const { measured, fromCache, ms } = report.duration;
  const [model] = report.models;
  return (
    `${report.protocol} on ${model!.name}: ${counted(model!.test.images, 'image')} of the test split` +
    `${model!.search.images > 0 ? `, ${model!.search.images} of the search split` : ''}; ` +
    `${model!.test.wrong + model!.search.wrong} left out because the model gets them wrong\n` +
    `  ${counted(measured, 'attacked image')} measured, ${fromCache} known before, ${duration(ms)}\n` +
    `  page     ${destination.place(EVALUATION_FILES.page)}\n` +
    `  tables   ${destination.place(EVALUATION_FILES.markdown)}\n` +
    `  figures  ${destination.place(EVALUATION_FILES.csv)}, ${destination.place(EVALUATION_FILES.json)}\n`
  );
}
