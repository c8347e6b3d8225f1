/** The pictures of a panel: an image, where it was deflected and why, what became of it. */
import type { Explanation, RgbImage } from '../types.js';
import { amplifiedDifference, dimmed, mapOverlay, resized, withDots } from './pictures.js';

const DOT = [214, 40, 57] as const;

export interface PanelPictures {
  readonly input: RgbImage;
  readonly map: RgbImage;
  readonly deflected: RgbImage;
  readonly defended: RgbImage;
  readonly difference: RgbImage;
  /** What the difference was multiplied by; 0 where nothing changed. */
  readonly gain: number;
}

/**
 * @param size of each picture in pixels
 * @param scale pixels of the picture per pixel of the layout, for the size of dots
 */
export async function panelPictures(
  { input, map, deflected, defended }: Explanation,
  size: { readonly width: number; readonly height: number },
  scale: number,
): Promise<PanelPictures> {
  const fit = (image: RgbImage) => resized(image, size.width, size.height);
  const difference = amplifiedDifference(input, defended);
  const radius = dotRadius(size, deflected.length, scale);
  return {
    input: await fit(input),
    map: await fit(mapOverlay(input, map)),
    deflected: withDots(await fit(dimmed(input)), deflected, input, radius, DOT),
    defended: await fit(defended),
    difference: await fit(difference.picture),
    gain: difference.gain,
  };
}

/** Large enough to see one, small enough to tell thousands apart. */
function dotRadius(size: { width: number; height: number }, count: number, scale: number): number {
  const room = Math.sqrt((size.width * size.height) / Math.max(count, 1));
  return Math.max(0.7, Math.min(2.6 * scale, 0.3 * room));
}
