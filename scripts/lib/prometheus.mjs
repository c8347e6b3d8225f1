// Prometheus and promtool of the tests: found on the PATH, or installed by apt.
import { aptInstall, onPath } from './system.mjs';

/** Ends the process with a message where they are not there and cannot be installed. */
export function providePrometheus() {
  const there = () => onPath('prometheus') !== undefined && onPath('promtool') !== undefined;
  if (there() || (aptInstall('Prometheus', 'prometheus') && there())) return;
  console.error(
    'The tests of metrics and alerts need Prometheus 2.42 or later, and it cannot be installed from here.\n' +
      'Put `prometheus` and `promtool` on the PATH (Debian, Ubuntu: sudo apt-get install prometheus), then run the tests\n' +
      'again; or run those that need no Prometheus: npm test -- FILTER',
  );
  process.exit(3);
}
