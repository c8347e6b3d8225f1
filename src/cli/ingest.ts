/** `deflector ingest`: the HTTP gateway of the distributed pipeline. */
import type { Command } from 'commander';
import { EMBEDDED_SETTINGS } from '../config/table.js';
import { addDefenceOptions, addQueueOptions, addSettings } from './options.js';

export function registerIngest(program: Command): void {
  const command = program
    .command('ingest')
    .description('take images in over HTTP: storage events, keys of objects, single images')
    .option('--out <dir>', 'folder for chunks and verdicts, as the workers reach it; needed with --allow');
  addDefenceOptions(addSettings(command, ['threads', 'batch', 'quiet', 'logLevel', 'drain']), EMBEDDED_SETTINGS);
  addQueueOptions(addSettings(command, ['chunk', 'fetch', 'queueLimit', 'keepJobs']), 'ingest')
    .addHelpText(
      'after',
      `
Examples:
  $ deflector ingest
  $ deflector ingest --allow s3://uploads/photos --out s3://results/ingest
  $ DEFLECTOR_TOKENS=shop=2f1c6d0b9a7e4583 deflector ingest --listen 0.0.0.0:8080 --allow s3://uploads --out s3://results

Open http://127.0.0.1:8080/ to defend an image by hand; /queues shows the queues, /openapi.json the interface.`,
    )
    .action(async (_options: unknown, self: Command) => {
      const { ingestCommand } = await import('./ingest-command.js');
      process.exitCode = await ingestCommand(self);
    });
}
