/** `deflector attack`: adversarial images, to measure defences with. */
import type { Command } from 'commander';

export function registerAttack(program: Command): void {
  program
    .command('attack')
    .description('attack a model: make adversarial images, to measure defences with')
    .argument('[name]', 'an attack; without one, all are listed')
    .argument('[args...]', "inputs and the attack's own options; see deflector attack NAME --help")
    // The options are those of each attack.
    .helpOption(false)
    .allowUnknownOption()
    .action(async (name: string | undefined, _args: string[], _options: unknown, self: Command) => {
      const { attackCommand, listAttacks } = await import('./attack-command.js');
      if (name === undefined || name === '--help' || name === '-h') listAttacks();
      else process.exitCode = await attackCommand(name, self.args.slice(1));
    });
}
