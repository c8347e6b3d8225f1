/**
 * Tries one runtime: `node probe-runtime.js NAME [DEVICE]`. A process of its own, since one without its libraries or its driver may
 * write to standard error, hang, or abort. Prints the versions on standard output, what is wrong on standard error.
 */
import { prepareRuntimes } from '../models/native-runtimes.js';
import { runtimeCalled } from '../models/runtimes.js';

const [, , name = '', text = '0'] = process.argv;
const device = Number(text);
prepareRuntimes({ runtime: name, device });
process.stdout.write(await runtimeCalled(name).probe({ device }));
