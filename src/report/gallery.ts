/** The gallery of a report: which images it shows, and their pictures. */
import type { Explanation, OkVerdict, RgbImage, Verdict } from '../types.js';
import { mapOverlay, rawImage, resized, sizeWithin } from './pictures.js';

/** An image chosen for the gallery. */
export interface GalleryChoice {
  /** Place of its verdict in the stream, from 0: the place of the image in the input. */
  readonly position: number;
  readonly verdict: OkVerdict;
}

/**
 * Chooses at most `limit` images while the verdicts stream by: suspicious ones first, then those whose runs agreed
 * least, then those that came first. Memory is bounded by `limit`; the same verdicts give the same choice.
 */
export async function selectGallery(verdicts: AsyncIterable<Verdict>, limit: number): Promise<GalleryChoice[]> {
  const chosen: GalleryChoice[] = [];
  let position = 0;
  for await (const verdict of verdicts) {
    const candidate = verdict.status === 'ok' ? { position, verdict } : undefined;
    position++;
    if (candidate === undefined) continue;
    if (chosen.length >= limit && (limit === 0 || rank(candidate, chosen[chosen.length - 1]!) > 0)) continue;
    let [low, high] = [0, chosen.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rank(chosen[middle]!, candidate) < 0) low = middle + 1;
      else high = middle;
    }
    chosen.splice(low, 0, candidate);
    if (chosen.length > limit) chosen.pop();
  }
  return chosen;
}

function rank(a: GalleryChoice, b: GalleryChoice): number {
  return (
    Number(b.verdict.suspicious) - Number(a.verdict.suspicious) ||
    a.verdict.agreement - b.verdict.agreement ||
    a.position - b.position
  );
}

/** One image of the gallery, its pictures ready to be embedded. */
export interface GalleryItem {
  readonly verdict: OkVerdict;
  /** Size of the pictures in pixels. */
  readonly width: number;
  readonly height: number;
  /** WebP files. */
  readonly input: Uint8Array;
  readonly map: Uint8Array;
  readonly defended: Uint8Array;
}

/** Longer side of a picture of the gallery, in pixels. */
const PICTURE_SIDE = 224;

/** Makes the gallery's pictures of an explanation: at most 224 pixels a side, some 10 KB each. */
export async function galleryItem(explanation: Explanation): Promise<GalleryItem> {
  const { input, map, defended, verdict } = explanation;
  const { width, height } =
    Math.max(input.width, input.height) <= PICTURE_SIDE ? input : sizeWithin(input, PICTURE_SIDE, PICTURE_SIDE);
  const webp = async (image: RgbImage) =>
    rawImage(await resized(image, width, height))
      .webp({ quality: 82, smartSubsample: true })
      .toBuffer();
  return {
    verdict,
    width,
    height,
    input: await webp(input),
    map: await webp(mapOverlay(input, map)),
    defended: await webp(defended),
  };
}
