/** Lets a classifier of your own vote; here one that knows three colours. */
import { readFile } from 'node:fs/promises';
import { createDefense, type FunctionClassifier } from 'deflector';

const SIDE = 64;

const colours: FunctionClassifier = {
  labels: ['red', 'green', 'blue'],
  preprocessing: { width: SIDE, height: SIDE },
  classify(input, count) {
    // Planes of red, green and blue, one image behind the other: the mean of a plane is the score of its colour.
    const area = SIDE * SIDE;
    return Float32Array.from({ length: 3 * count }, (_, plane) => {
      const values = input.subarray(plane * area, (plane + 1) * area);
      return values.reduce((sum, value) => sum + value, 0) / area;
    });
  },
};

const path = process.argv[2] ?? 'samples/rocket.jpg';
// Without activation maps no second model is needed.
const defense = await createDefense({ map: 'uniform', seed: '1' });
const verdict = await defense.vote(await readFile(path), colours, path);
console.log(verdict.status === 'ok' ? `${path}: mostly ${verdict.label.name}` : `${path}: ${verdict.error.message}`);
await defense.close();
