// npm run provide:tensorflow [-- VERSION]: makes TensorFlow.js with its native binding in a cache folder, and prints how to use it.
import { provideTensorflow, TENSORFLOW_VERSIONS } from './lib/tensorflow.mjs';

const [version = '2.10'] = process.argv.slice(2);
if (!TENSORFLOW_VERSIONS.includes(version)) {
  console.error(`Expected one of ${TENSORFLOW_VERSIONS.join(', ')} but received ${version}`);
  process.exit(2);
}
console.log(`export DEFLECTOR_TENSORFLOW=${provideTensorflow(version)}`);
