/** The blur that the deconvolutions undo: a Gaussian, separable, with the transfer functions that they need. */
import { fourier2d, type Spectrum } from './fourier.js';

/** Samples of a Gaussian at whole pixels around 0, sum 1. */
export function gaussianProfile(size: number, sigma: number): Float64Array {
  const half = size >> 1;
  const samples = Float64Array.from({ length: size }, (_, i) => Math.exp(-0.5 * ((i - half) / sigma) ** 2));
  const sum = samples.reduce((total, sample) => total + sample, 0);
  return samples.map(sample => sample / sum);
}

/** Transfer function of the blur profile (x) profile, centred on pixel 0, periodic. */
export function blurTransfer(profile: Float64Array, width: number, height: number): Spectrum {
  const half = profile.length >> 1;
  return transfer(width, height, add => {
    for (const [i, row] of profile.entries())
      for (const [j, column] of profile.entries()) add(i - half, j - half, row * column);
  });
}

/** Transfer function of the Laplacian [0 -1 0; -1 4 -1; 0 -1 0], centred on pixel 0, periodic. */
export function laplacianTransfer(width: number, height: number): Spectrum {
  return transfer(width, height, add => {
    add(0, 0, 4);
    for (const [row, column] of [
      [-1, 0],
      [1, 0],
      [0, -1],
      [0, 1],
    ] as const)
      add(row, column, -1);
  });
}

function transfer(
  width: number,
  height: number,
  draw: (add: (row: number, column: number, value: number) => void) => void,
): Spectrum {
  const spectrum = { re: new Float64Array(width * height), im: new Float64Array(width * height) };
  draw((row, column, value) => {
    const y = ((row % height) + height) % height;
    const x = ((column % width) + width) % width;
    spectrum.re[y * width + x]! += value;
  });
  fourier2d(spectrum, width, height, 1);
  return spectrum;
}
