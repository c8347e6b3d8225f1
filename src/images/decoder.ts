/** From the bytes of an image file to the pixels that the defence works on. */
import type { DefenceSettings, Preprocessing, RgbImage } from '../types.js';
import { decodeImage, type ImageLimits } from './decode.js';
import { preprocess } from './preprocess.js';

/** The limits as the settings name them. */
export interface DecoderLimits extends Pick<ImageLimits, 'maxBytes' | 'maxPixels'> {
  /** Whole seconds that decoding may take. */
  readonly imageTimeout: number;
}

/**
 * A decoder for one model.
 *
 * @param at `model`: to the model's input size; `original`: the image's own size stays
 * @returns what throws as `decodeImage` does
 */
export function decoderFor(
  preprocessing: Preprocessing,
  at: DefenceSettings['at'],
  { maxBytes, maxPixels, imageTimeout }: DecoderLimits,
): (bytes: Uint8Array) => Promise<RgbImage> {
  const limits = { maxBytes, maxPixels, timeoutSeconds: imageTimeout };
  return async bytes => {
    const image = await decodeImage(bytes, limits);
    return at === 'model' ? preprocess(image, preprocessing) : image;
  };
}
