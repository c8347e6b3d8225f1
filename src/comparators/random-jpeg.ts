/** JPEG as in jpeg.ts, of a quality that each run draws, so that runs differ and a vote has something to decide. */
import { jpegRoundTrip } from './jpeg.js';
import { choice, defineStep, integer } from './step.js';

export const randomJpeg = defineStep({
  name: 'randomjpeg',
  random: true,
  shown: 2,
  parameters: { least: integer(15, 1, 100), most: integer(40, 1, 100), subsampling: choice('420', '444') },
  /** One draw: the quality, uniform on the integers between the two, whichever is the larger. */
  apply(planes, width, height, { least, most, subsampling }, source) {
    const low = Math.min(least, most);
    const quality = low + Math.floor(source.uniform() * (Math.abs(most - least) + 1));
    jpegRoundTrip(planes, width, height, { quality, subsampling });
  },
});
