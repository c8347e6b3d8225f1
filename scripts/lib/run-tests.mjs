// Runs compiled test files by node:test, prints one line a file and every failure in full.
import { run } from 'node:test';
import { inspect } from 'node:util';

/** @returns how many tests passed, failed and were skipped */
export async function runTests(files, { concurrency, title }) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const byFile = new Map();
  const own = file => {
    if (!byFile.has(file)) byFile.set(file, { tests: 0, failures: [], ms: 0 });
    return byFile.get(file);
  };
  // Results of a file come when it has ended, files in order: a change of file closes the one before.
  let current;
  const close = () => {
    if (current === undefined) return;
    const { tests, failures, ms } = own(current);
    const mark = failures.length > 0 ? 'FAILED' : 'ok';
    console.log(`${mark.padEnd(6)} ${title(current)}: ${tests} tests, ${(ms / 1000).toFixed(1)} s`);
    for (const { name, details } of failures) {
      console.log(`\n  ${name}\n${indent(inspect(details.error.cause ?? details.error))}\n`);
    }
  };
  const stream = run({ files, concurrency });
  stream.on('test:stderr', ({ message }) => process.stderr.write(message));
  for await (const { type, data } of stream) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const file = data.file ?? data.name;
    if (file !== current) close();
    current = file;
    const record = own(file);
    if (data.nesting === 0) record.ms += data.details.duration_ms;
    const failed = type === 'test:fail';
    // A suite is no test; it is told of only where a fault is its own: a hook that failed, for one.
    const suite = data.details.type === 'suite';
    if (suite && !(failed && data.details.error.failureType !== 'subtestsFailed')) continue;
    record.tests++;
    if (failed) record.failures.push(data);
    if (failed) counts.failed++;
    else if (data.skip !== undefined) counts.skipped++;
    else counts.passed++;
  }
  close();
  return counts;
}

function indent(text) {
  return text.replace(/^/gm, '    ');
}
