/** `deflector search`: a recipe for a model, found on labelled images. */
import type { Command } from 'commander';
import { addJsonOption, addSettings } from './options.js';

export function registerSearch(program: Command): void {
  const command = program
    .command('search')
    .description(
      'find the recipe that serves a model best, and hold it against the paper’s on images it was not chosen by',
    )
    .requiredOption('--data <dir>', 'folder of labelled images: class folders, or a labels.csv in it or beside it')
    .option('--out <dir>', 'folder or s3://bucket/prefix for search.json, search.md and the cache', 'search')
    .option('--candidates <n>', 'recipes that are tried', '36')
    .option('--images <n>', 'images of the search split that the last ones are tried on', '72')
    .option('--test-images <n>', 'images of the test split that the winner is reported on', '120')
    .option('--curves', 'also move sigma, window and deflections around the best recipe (figure 5 of the paper)')
    .option('--max-clean-loss <x>', 'share of clean labels that a recipe may lose', '0.08')
    .option('--labels <source>', 'true classes: folder, a CSV file, or own (the label of the model)')
    .option('--cache <dir>', 'folder or s3://bucket/prefix for what was found (default: OUT/cache)')
    .option('--write', "let the model's folder recommend what was found");
  addSettings(command, ['model', 'runtime', 'threads']);
  command.option('--seed <text>', 'fixes all draws, so that figures can be made again', '1');
  addSettings(command, ['maxBytes', 'maxPixels', 'imageTimeout']);
  addSettings(command, ['s3Endpoint', 's3Region', 's3Addressing', 's3Timeout', 's3Tries', 'quiet']);
  addJsonOption(command)
    .addHelpText(
      'after',
      `
Examples:
  $ deflector search --data photos
  $ deflector search --data photos --max-clean-loss 0.05 --write

Images are attacked by FGSM, IGSM in two forms, DeepFool, L-BFGS and C&W. What was found is kept: calling the command
again, after Ctrl-C too, goes on where it stopped.`,
    )
    .action(async (_options: unknown, self: Command) => {
      const { searchCommand } = await import('./search-command.js');
      process.exitCode = await searchCommand(self);
    });
}
