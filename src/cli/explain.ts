/** `deflector explain`: one panel that shows what the defence did to an image and how the runs voted. */
import type { Command } from 'commander';
import { addDefenceOptions } from './options.js';

export function registerExplain(program: Command): void {
  const command = program
    .command('explain')
    .description('draw one panel: input, activation map, deflections, defended image, difference, votes')
    .argument('<image>', 'image file')
    .requiredOption('--out <file>', '.png to write the panel to')
    .option('--scale <n>', 'pixels of the panel per unit of its layout, 1 to 4', '2');
  addDefenceOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ deflector explain cat.jpg --out panel.png
  $ deflector explain cat.jpg --out panel.png --runs 50 --early-stop off`,
    )
    .action(async (image: string, _options: unknown, self: Command) => {
      const { explainCommand } = await import('./image-commands.js');
      process.exitCode = await explainCommand(image, self);
    });
}
