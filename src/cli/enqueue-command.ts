/** What `deflector enqueue` does once it is called. */
import type { Command } from 'commander';
import { produce } from '../../pipelines/producer.js';
import { type ResolvedOptions, resolveSettings, type UserOptions } from '../config/settings.js';
import { JOB_SETTING_NAMES, SETTING_NAMES } from '../config/table.js';
import { DeflectorError } from '../errors.js';
import { checkJobName, type Job } from '../jobs/job.js';
import { JobRecords } from '../jobs/job-records.js';
import { closeStageQueues, openStageQueues } from '../jobs/stage-queues.js';
import { connectRedis } from '../queue/redis.js';
import { counted } from '../report/numbers.js';
import { visibleText } from '../report/visible-text.js';
import { S3Connection } from '../storage/s3-connection.js';
import { openTracer } from '../telemetry/tracer.js';
import { EXIT } from './exit-codes.js';
import { settingsFromCommand } from './options.js';
import { recommendedRecipe } from './recommended-recipe.js';
import { stoppable } from './stoppable.js';

interface EnqueueFlags extends UserOptions {
  readonly job: string;
  readonly out: string;
  readonly json?: boolean;
}

const SAY_EVERY_MS = 5000;

/** @returns the exit code */
export async function enqueueCommand(inputs: readonly string[], command: Command): Promise<number> {
  const flags = command.optsWithGlobals<EnqueueFlags>();
  const name = checkJobName(flags.job);
  const asked = await settingsFromCommand(command, recommendedRecipe);
  const redis = await connectRedis(asked, 'bounded');
  const s3 = new S3Connection(asked);
  const tracer = await openTracer(process.env, trouble => process.stderr.write(`${visibleText(trouble)}\n`));
  try {
    const queues = await openStageQueues(redis);
    const records = new JobRecords(redis);
    const before = await records.get(name).catch(unlessNotFound);
    const options = before === undefined ? asked : resumedSettings(flags, asked, before);
    const quiet = options.quiet || flags.json === true;
    const order = { name, inputs, out: flags.out, options };
    const named = quiet ? () => undefined : sayNow();
    const produced = await stoppable(quiet, signal => produce(order, { records, queues, s3, tracer }, named, signal));
    await closeStageQueues(queues);
    const { job, chunks, images, complete } = produced;
    if (flags.json) {
      const { seed } = options.defence;
      process.stdout.write(`${JSON.stringify({ job: name, chunks, images, complete, seed }, undefined, 2)}\n`);
    } else if (!quiet) {
      const what = `${counted(images, 'image')} in ${counted(chunks, 'chunk')}`;
      process.stdout.write(
        complete
          ? `Job ${job.name}: ${what}\nWait for it with: deflector jobs wait ${job.name}\n`
          : `Job ${job.name}: stopped after ${what}; the same call goes on from here\n`,
      );
    }
    return complete ? EXIT.done : EXIT.interrupted;
  } finally {
    await tracer.close();
    await s3.close();
    await redis.close();
  }
}

/** Says how far the listing is, every few seconds. */
function sayNow(): (images: number) => void {
  let said = performance.now();
  return images => {
    if (performance.now() - said < SAY_EVERY_MS) return;
    said = performance.now();
    process.stderr.write(`${counted(images, 'image')} in the queue so far\n`);
  };
}

function unlessNotFound(error: unknown): undefined {
  if (error instanceof DeflectorError && error.code === 'JOB_NOT_FOUND') return;
  throw error;
}

/** The settings that the job began with; the producer sees to it that flags change none of them. */
function resumedSettings(
  flags: EnqueueFlags,
  asked: ResolvedOptions,
  { settings, chunk, lane, fetch, deadline }: Job,
): ResolvedOptions {
  const deployment = SETTING_NAMES.filter(name => !JOB_SETTING_NAMES.includes(name));
  const own = Object.fromEntries(deployment.map(name => [name, asked[name as keyof ResolvedOptions]]));
  const given = Object.fromEntries(
    SETTING_NAMES.flatMap(name => (flags[name] === undefined ? [] : [[name, flags[name]]])),
  );
  return resolveSettings({ flags: { ...own, ...settings, chunk, lane, fetch, deadline, ...given } });
}
