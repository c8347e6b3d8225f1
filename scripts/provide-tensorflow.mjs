// npm run provide:tensorflow: makes TensorFlow.js with its native binding in a cache folder, and prints how to use it.
import { provideTensorflow } from './lib/tensorflow.mjs';

console.log(`export DEFLECTOR_TENSORFLOW=${provideTensorflow()}`);
