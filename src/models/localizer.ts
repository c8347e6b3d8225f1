/** The localiser: a second model whose feature maps make the activation map. */
import { DeflectorError } from '../errors.js';
import { preprocess } from '../images/preprocess.js';
import { tensorFormat, writeTensor } from '../images/tensor.js';
import type { Classifier, ClassifierHead, Localizer, Preprocessing } from '../types.js';

/**
 * The part of a classifier that makes activation maps.
 *
 * @throws DeflectorError MODEL_NO_LOCALIZATION, naming the option that helps
 */
export function requireHead(classifier: Classifier): ClassifierHead {
  if (classifier.head !== undefined) return classifier.head;
  throw new DeflectorError(
    'MODEL_NO_LOCALIZATION',
    `The model ${classifier.model.name} cannot make activation maps: ${classifier.headless}. ` +
      'Name a model that can by --localizer NAME, or deflect everywhere by --map uniform',
  );
}

/**
 * Makes a localiser of a classifier, which it owns from then on.
 *
 * @throws DeflectorError MODEL_NO_LOCALIZATION
 */
export function createLocalizer(classifier: Classifier): Localizer {
  const head = requireHead(classifier);
  // The image was cropped for the classifier already: what the localiser sees must be all of it, and nothing else.
  const whole: Preprocessing = { ...classifier.preprocessing, fit: 'stretch' };
  const format = tensorFormat(whole);
  const size = 3 * whole.width * whole.height;
  return {
    model: classifier.model,
    head,
    async locate(images) {
      const input = new Float32Array(images.length * size);
      images.forEach((image, i) => {
        writeTensor(preprocess(image, whole), format, input, i * size);
      });
      const { scores, features } = await classifier.classify(input, images.length, true);
      if (features === undefined) {
        throw new DeflectorError('INFERENCE_FAILED', `The localiser ${classifier.model.name} gave no feature maps`);
      }
      return { scores, features };
    },
    dispose: () => classifier.dispose(),
  };
}
