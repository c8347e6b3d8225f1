/** What `deflector search` does once it is called. */
import type { Command } from 'commander';
import { runSearch, SEARCH_FILES, type SearchJobObserver } from '../../pipelines/search-job.js';
import { integer, number, type ValueType } from '../config/value-types.js';
import { invalid } from '../errors.js';
import type { Rate } from '../evaluation/rates.js';
import type { SearchReport } from '../evaluation/search/search-report.js';
import { describeDefence } from '../report/describe-defence.js';
import { duration } from '../report/numbers.js';
import { createProgress } from '../report/progress.js';
import { openDestination } from '../sinks/destination.js';
import { S3Connection } from '../storage/s3-connection.js';
import { EXIT } from './exit-codes.js';
import { settingsFromCommand } from './options.js';
import { stoppable } from './stoppable.js';

interface SearchFlags {
  readonly data: string;
  readonly out: string;
  readonly candidates: string;
  readonly images: string;
  readonly testImages: string;
  readonly maxCleanLoss: string;
  readonly curves?: boolean;
  readonly labels?: string;
  readonly cache?: string;
  readonly write?: boolean;
  readonly json?: boolean;
}

/** @returns the exit code */
export async function searchCommand(command: Command): Promise<number> {
  const flags = command.opts<SearchFlags>();
  const options = await settingsFromCommand(command);
  const quiet = options.quiet || flags.json === true;
  const request = {
    ...{ data: flags.data, out: flags.out, cache: flags.cache, labels: flags.labels, options },
    plan: {
      candidates: checked(integer(1, 10_000), '--candidates', flags.candidates),
      images: checked(integer(1, 10_000), '--images', flags.images),
      testImages: checked(integer(1, 10_000), '--test-images', flags.testImages),
      curves: flags.curves === true,
      maxCleanLoss: checked(number(0, 1), '--max-clean-loss', flags.maxCleanLoss),
    },
    write: flags.write === true,
  };
  const progress = createProgress({ quiet, tty: process.stderr.isTTY === true, note: 'fooled' });
  const counts = { done: 0, suspicious: 0, failed: 0 };
  const observer: SearchJobObserver = {
    round: (number, of, { candidates, images }) => {
      if (!quiet) process.stderr.write(`Round ${number} of ${of}: ${candidates} recipes on ${images} images\n`);
    },
    total: images => {
      counts.done = 0;
      progress.setTotal(images);
    },
    done: () => {
      counts.done++;
      progress.update({ ...counts });
    },
  };
  try {
    return await stoppable(quiet, async signal => {
      const report = await runSearch(request, observer, signal);
      progress.stop();
      if (report === undefined) return EXIT.interrupted;
      if (flags.json) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
      else if (!options.quiet) process.stdout.write(closing(report, flags.out, options));
      return EXIT.done;
    });
  } finally {
    progress.stop();
  }
}

function checked(type: ValueType<number>, flag: string, text: string): number {
  const value = type.parse(text);
  if (value === undefined) throw invalid(flag, type.expected, text);
  return value;
}

function closing(report: SearchReport, out: string, options: ConstructorParameters<typeof S3Connection>[0]): string {
  const destination = openDestination(out, new S3Connection(options));
  const width = Math.max(...report.test.map(({ title }) => title.length));
  const kept = ({ rate }: Rate) => (rate === null ? '-' : `${(100 * rate).toFixed(1)} %`);
  const rows = report.test.map(
    ({ title, standing }) =>
      `  ${title.padEnd(width)}  ${kept(standing.clean).padStart(11)}  ${`${(100 * standing.mean).toFixed(1)} %`.padStart(13)}`,
  );
  return (
    `${describeDefence(report.winner.recipe)}\n` +
    `  ${'On the test split'.padEnd(width)}   clean kept   set right, mean\n${rows.join('\n')}\n` +
    `  ${duration(report.ms)}; ${report.written === undefined ? 'not written' : `${report.model.name} recommends ${report.written} now`}\n` +
    `  tables   ${destination.place(SEARCH_FILES.markdown)}\n` +
    `  figures  ${destination.place(SEARCH_FILES.json)}\n`
  );
}
