/** `deflector defend`: one run over one image, written as an image or a tensor. */
import type { Command } from 'commander';
import { addDefenceOptions } from './options.js';

export function registerDefend(program: Command): void {
  const command = program
    .command('defend')
    .description('defend one image by one run and write what comes out')
    .argument('<image>', 'image file')
    .requiredOption('--out <file>', '.png: 8 bits; .npy: float32 [height, width, 3], RGB in [0,1]');
  addDefenceOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ deflector defend cat.jpg --out defended.png
  $ deflector defend cat.jpg --out defended.npy --at original --seed 7`,
    )
    .action(async (image: string, _options: unknown, self: Command) => {
      const { defendCommand } = await import('./image-commands.js');
      process.exitCode = await defendCommand(image, self);
    });
}
