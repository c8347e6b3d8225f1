// npm run faults -- --schedules N --seed S --at-once A: random schedules of faults against a real deployment, and what they
// broke.
// npm run faults -- --poison IMAGES --seed S: a job in which one image in a thousand takes its process down, or holds it.
import { parseArgs } from 'node:util';
import { provideRedisServer } from './lib/redis-server.mjs';
import { provideS3Server } from './lib/s3-server.mjs';
import { build, install } from './lib/steps.mjs';

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    // A schedule has a deployment of its own, and mostly waits.
    'at-once': { type: 'string', default: '2' },
    poison: { type: 'string' },
  },
});
install();
provideRedisServer();
provideS3Server();
build();
if (values.poison === undefined) await schedules(Number(values.schedules));
else await poison(Number(values.poison));

async function schedules(count) {
  const { runSchedule } = await import('../dist/test/faults/schedule.js');
  let next = 0;
  let violated = 0;
  const faults = new Map();
  const report = async seed => {
    const started = performance.now();
    const outcome = await runSchedule(seed).catch(error => ({
      faults: [],
      violations: [String(error.stack ?? error)],
    }));
    for (const name of outcome.faults) faults.set(name, (faults.get(name) ?? 0) + 1);
    if (!say(seed, outcome.faults.join(', '), outcome.violations, started)) violated++;
  };
  await Promise.all(
    Array.from({ length: Number(values['at-once']) }, async () => {
      while (next < count) await report(`${values.seed}/${next++}`);
    }),
  );
  console.log(`\n${[...faults].map(([name, times]) => `${name}: ${times}`).join(', ')}`);
  console.log(`${count} schedules, ${violated} with violations`);
  process.exitCode = violated > 0 ? 1 : 0;
}

async function poison(images) {
  const { runPoisoned } = await import('../dist/test/faults/poison.js');
  for (const fetch of ['fused', 'separate']) {
    const started = performance.now();
    const { poisons, ended, violations } = await runPoisoned(fetch, images, 1000, values.seed);
    const what = `${images} images, poison ${poisons.join(', ')}; ${ended} workers ended`;
    if (!say(fetch, what, violations, started)) process.exitCode = 1;
  }
}

/** @returns whether all is well */
function say(name, what, violations, started) {
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const ok = violations.length === 0;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name}: ${what} (${seconds} s)`);
  for (const violation of violations) console.log(`       ${violation}`);
  return ok;
}
