/** Defends pixels before a call of your own to TensorFlow.js, ONNX Runtime or a service. */
import { readFile } from 'node:fs/promises';
import { createDefense } from 'deflector';

const path = process.argv[2] ?? 'samples/coffee.jpg';

const defense = await createDefense({ seed: '1' });
const image = await defense.read(await readFile(path));
for (const run of [0, 1, 2]) {
  const { planes } = await defense.defendPixels(image, { run });
  // [3, height, width], RGB in [0,1]: with ONNX Runtime, new Tensor('float32', planes, [1, 3, height, width]).
  const mean = planes.reduce((sum, value) => sum + value, 0) / planes.length;
  console.log(`${path}, run ${run}: ${image.width} x ${image.height}, mean ${mean.toFixed(4)}`);
}
await defense.close();
