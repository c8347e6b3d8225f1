/** What `deflector ingest` does once it is called. */
import type { Command } from 'commander';
import { runGateway } from '../../workers/gateway.js';
import { openLog, secretsIn } from '../telemetry/log.js';
import { EXIT } from './exit-codes.js';
import { settingsFromCommand } from './options.js';
import { recommendedRecipe } from './recommended-recipe.js';
import { stoppable } from './stoppable.js';

/** @returns the exit code */
export async function ingestCommand(command: Command): Promise<number> {
  const { out } = command.optsWithGlobals<{ readonly out?: string }>();
  const options = await settingsFromCommand(command, recommendedRecipe);
  const named = [...options.tokens, ...options.hmacKeys].map(({ secret }) => secret);
  const secrets = [...secretsIn(process.env, options.redisUrl), ...named];
  const { log, close } = await openLog(options.quiet ? 'warn' : options.logLevel, secrets);
  // What a log is made of is not broken by lines for people.
  await stoppable(true, async signal => {
    const stop = () => {
      log.info({ drain: options.drain }, 'Gateway is stopping: it answers what is under way');
      const late = () => {
        log.error('What is under way does not end');
        process.exit(EXIT.errors);
      };
      setTimeout(late, options.drain * 1000).unref();
    };
    signal.addEventListener('abort', stop, { once: true });
    const ready = (address: string) => log.info({ address }, 'Gateway is ready');
    await runGateway({ out, options }, log, ready, signal);
    log.info('Gateway has ended');
  });
  close();
  return EXIT.done;
}
