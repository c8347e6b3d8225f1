/**
 * Tries one runtime: `node probe-runtime.js NAME`. A process of its own, since one without its libraries or its driver may
 * write to standard error, hang, or abort. Prints the versions on standard output, what is wrong on standard error.
 */
import { prepareRuntimes } from '../models/native-runtimes.js';
import { runtimeCalled } from '../models/runtimes.js';

const name = process.argv[2] ?? '';
prepareRuntimes({ runtime: name, device: 0 });
process.stdout.write(await runtimeCalled(name).probe());
