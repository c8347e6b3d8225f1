// npm run faults -- --schedules N --seed S --at-once A: random schedules of faults against a real deployment, and what they
// broke.
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
  },
});
install();
provideRedisServer();
provideS3Server();
build();
const { runSchedule } = await import('../dist/test/faults/schedule.js');

const schedules = Number(values.schedules);
let next = 0;
let violated = 0;
const faults = new Map();
await Promise.all(
  Array.from({ length: Number(values['at-once']) }, async () => {
    while (next < schedules) await report(`${values.seed}/${next++}`);
  }),
);
console.log(`\n${[...faults].map(([name, count]) => `${name}: ${count}`).join(', ')}`);
console.log(`${schedules} schedules, ${violated} with violations`);
process.exitCode = violated > 0 ? 1 : 0;

async function report(seed) {
  const started = performance.now();
  const outcome = await runSchedule(seed).catch(error => ({ faults: [], violations: [String(error.stack ?? error)] }));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  for (const name of outcome.faults) faults.set(name, (faults.get(name) ?? 0) + 1);
  const ok = outcome.violations.length === 0;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${seed}: ${outcome.faults.join(', ')} (${seconds} s)`);
  for (const violation of outcome.violations) console.log(`       ${violation}`);
  if (!ok) violated++;
}
