// The Redis server of the tests: found on the PATH, or installed by apt.
import { aptInstall, onPath } from './system.mjs';

/** Ends the process with a message where there is no server and none can be installed. Certificates are openssl's. */
export function provideRedisServer() {
  if (onPath('openssl') === undefined) aptInstall('OpenSSL', 'openssl');
  if (onPath('redis-server') !== undefined || aptInstall('Redis', 'redis-server')) return;
  console.error(
    'The tests of the distributed pipeline need Redis 6.2 or later, and it cannot be installed from here.\n' +
      'Put `redis-server` on the PATH (Debian, Ubuntu: sudo apt-get install redis-server), then run the tests again;\n' +
      'or run those that need no Redis: npm test -- FILTER',
  );
  process.exit(3);
}
