// npm run faults -- --schedules N --seed S: random schedules of faults against a real deployment, and what they broke.
import { parseArgs } from 'node:util';
import { provideRedisServer } from './lib/redis-server.mjs';
import { build, install } from './lib/steps.mjs';

const { values } = parseArgs({
  options: { schedules: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } },
});
install();
provideRedisServer();
build();
const { runSchedule } = await import('../dist/test/faults/schedule.js');

let violated = 0;
let faults = 0;
for (let n = 0; n < Number(values.schedules); n++) {
  const seed = `${values.seed}/${n}`;
  const started = performance.now();
  const outcome = await runSchedule(seed).catch(error => ({ faults: [], violations: [String(error.stack ?? error)] }));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  faults += outcome.faults.length;
  const ok = outcome.violations.length === 0;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${seed}: ${outcome.faults.join(', ')} (${seconds} s)`);
  for (const violation of outcome.violations) console.log(`       ${violation}`);
  if (!ok) violated++;
}
console.log(`${values.schedules} schedules, ${faults} faults, ${violated} with violations`);
process.exitCode = violated > 0 ? 1 : 0;
