/** The comparators against reference values of scikit-image, SciPy, OpenCV, Pillow and plain NumPy (test/goldens/scripts). */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { diffuse } from '../../src/comparators/anisotropic-diffusion.js';
import { type BilateralParameters, bilateralFilter } from '../../src/comparators/bilateral.js';
import { bitDepth, reduceBitDepth } from '../../src/comparators/bit-depth.js';
import { jpegRoundTrip } from '../../src/comparators/jpeg.js';
import { medianFilter } from '../../src/comparators/median.js';
import { nonLocalMeans, type PatchVariant } from '../../src/comparators/non-local-means.js';
import { nonLocalMeansLab } from '../../src/comparators/non-local-means-lab.js';
import { gaussianProfile } from '../../src/comparators/point-spread.js';
import { richardsonLucy } from '../../src/comparators/richardson-lucy.js';
import { type BregmanParameters, denoiseBregman } from '../../src/comparators/total-variation-bregman.js';
import { denoiseChambolle } from '../../src/comparators/total-variation-chambolle.js';
import { unsupervisedWiener } from '../../src/comparators/unsupervised-wiener.js';
import { wienerDeconvolve } from '../../src/comparators/wiener.js';
import { runRandom } from '../../src/defense/random.js';
import { imageDistance } from '../../src/evaluation/statistics.js';
import { assertClose, GOLDENS, type GoldenCase, goldenArray, goldenValues } from '../helpers/goldens.js';

/** An image of the goldens as the comparators take it. */
interface Image {
  readonly planes: Float32Array;
  readonly width: number;
  readonly height: number;
}

type Parameters = Readonly<Record<string, unknown>>;
type Filter = (image: Image, parameters: Parameters) => void;

function toPlanar(path: string): Image {
  const { shape, data } = goldenValues(path);
  const [height, width] = shape as [number, number, number];
  const area = width * height;
  return { planes: Float32Array.from(data, (_, i) => data[(i % area) * 3 + Math.floor(i / area)]!), width, height };
}

function toInterleaved({ planes, width, height }: Image): Float32Array {
  const area = width * height;
  return planes.map((_, i) => planes[(i % 3) * area + Math.floor(i / 3)]!);
}

const perPlane =
  (filter: (values: Float32Array, width: number, height: number, parameters: Parameters) => void): Filter =>
  ({ planes, width, height }, parameters) => {
    for (let c = 0; c < 3; c++) {
      filter(planes.subarray(c * width * height, (c + 1) * width * height), width, height, parameters);
    }
  };

const bilateral =
  (tables: BilateralParameters['tables']): Filter =>
  ({ planes, width, height }, { win_size, sigma_color, sigma_spatial, bins, mode }) =>
    bilateralFilter(planes, width, height, {
      window: win_size as number,
      colour: (sigma_color as number | null) ?? 'auto',
      spatial: sigma_spatial as number,
      border: mode === 'constant' ? 'black' : 'edge',
      tables,
      bins: (bins as number | undefined) ?? 1,
    });

const patches =
  (variant: (parameters: Parameters) => PatchVariant): Filter =>
  ({ planes, width, height }, parameters) => {
    const { patch_size, patch_distance, h } = parameters as Record<string, number>;
    nonLocalMeans(planes, width, height, {
      patch: patch_size!,
      distance: patch_distance!,
      h: h!,
      variant: variant(parameters),
    });
  };

const bregman =
  (channels: BregmanParameters['channels']): Filter =>
  ({ planes, width, height }, { weight, eps, max_num_iter, isotropic }) =>
    denoiseBregman(planes, width, height, {
      weight: weight as number,
      eps: eps as number,
      iterations: max_num_iter as number,
      norm: isotropic ? 'isotropic' : 'anisotropic',
      channels,
    });

const chambolle = ({ weight, eps, max_num_iter }: Parameters) => ({
  weight: weight as number,
  eps: eps as number,
  iterations: max_num_iter as number,
});

/** The blur of the goldens, psf_gauss5.npy. */
const PSF = gaussianProfile(5, 1);

const FILTERS: Readonly<Record<string, Filter>> = {
  bilateral_skimage: bilateral('skimage'),
  bilateral_skimage_015: bilateral('skimage015'),
  bilateral_gaussian: bilateral('gaussian'),
  tv_chambolle: perPlane((values, width, height, p) => denoiseChambolle(values, width, height, 1, chambolle(p))),
  tv_chambolle_joint: ({ planes, width, height }, p) => denoiseChambolle(planes, width, height, 3, chambolle(p)),
  tv_bregman: bregman('chained'),
  tv_bregman_per_channel: bregman('separate'),
  tv_bregman_015: bregman('joint'),
  nl_means: patches(({ fast_mode }) => (fast_mode ? 'skimage' : 'skimageslow')),
  nl_means_015: patches(() => 'skimage015'),
  nl_means_formula: patches(({ gaussian }) => (gaussian ? 'formulagauss' : 'formula')),
  nl_means_opencv: ({ planes, width, height }, { search_window, template_window, h }) =>
    nonLocalMeansLab(planes, width, height, {
      search: search_window as number,
      patch: template_window as number,
      h: h as number,
    }),
  wiener: ({ planes, width, height }, { balance }) => wienerDeconvolve(planes, width, height, PSF, balance as number),
  richardson_lucy: perPlane((values, width, height, { num_iter }) =>
    richardsonLucy(values, width, height, PSF, num_iter as number),
  ),
  unsupervised_wiener: perPlane((values, width, height) =>
    unsupervisedWiener(values, width, height, PSF, runRandom('0', '00'.repeat(32), 0)),
  ),
  perona_malik: perPlane((values, width, height, { option, niter, kappa, lambda }) =>
    diffuse(values, width, height, {
      iterations: niter as number,
      kappa: kappa as number,
      lambda: lambda as number,
      conductance: option === 1 ? 'exponential' : 'rational',
    }),
  ),
  median_filter: perPlane((values, width, height, { size }) => medianFilter(values, width, height, size as number)),
  jpeg: ({ planes, width, height }, { quality, subsampling }) =>
    jpegRoundTrip(planes, width, height, {
      quality: quality as number,
      subsampling: subsampling === '4:2:0' ? '420' : '444',
    }),
};

/** The expected values of a case: bytes stand for value * scale. */
function expectedOf(golden: GoldenCase): Float64Array {
  const { dtype, data } = goldenArray(golden.output!);
  const { scale } = golden as { scale?: number };
  return Float64Array.from(data, value => (dtype === 'uint8' ? value * scale! : value));
}

function check(golden: GoldenCase): void {
  const parameters = golden.parameters as unknown as Parameters;
  if (golden.operation === 'input') {
    const { shape, data } = goldenArray(golden.output!);
    assert.deepEqual(shape, golden.shape);
    if (golden.name === 'psf_gauss5') assertClose(PSF_SQUARE, data, 1e-15);
    return;
  }
  const expected = expectedOf(golden);
  if (golden.operation === 'bit_depth') {
    const { bits } = parameters as { bits: number };
    const { data } = goldenValues(golden.input as string);
    assertClose(
      Array.from(data, value => reduceBitDepth(value, bits)),
      expected,
      golden.tolerance.abs!,
    );
    if (golden.tolerance.abs_f32 === undefined) return;
    const planes = Float32Array.from(data);
    bitDepth.parse(String(bits)).apply(planes, planes.length / 3, 1, NO_DRAWS);
    assertClose(planes, expected, golden.tolerance.abs_f32);
    return;
  }
  const filter = FILTERS[golden.operation];
  assert.ok(filter !== undefined, `no check for ${golden.operation}`);
  const image = toPlanar(golden.input as string);
  filter(image, parameters);
  const actual = toInterleaved(image);
  const { psnr_min_db: least, psnr_to_input_db_within: within, abs_f32: tolerance } = golden.tolerance;
  if (least === undefined) {
    assertClose(actual, expected, tolerance!);
    return;
  }
  assert.ok((imageDistance(expected, actual).psnrDb ?? Number.POSITIVE_INFINITY) >= least);
  if (within === undefined) return;
  const { data } = goldenValues(golden.input as string);
  const { psnr_to_input_db: toInput } = golden as unknown as { psnr_to_input_db: number };
  assert.ok(Math.abs(imageDistance(data, actual).psnrDb! - toInput) <= within);
}

const NO_DRAWS = { uniform: () => assert.fail('draws') };
const PSF_SQUARE = Float64Array.from({ length: 25 }, (_, i) => PSF[Math.floor(i / 5)]! * PSF[i % 5]!);

for (const group of ['comparators', 'old_era']) {
  describe(`goldens of ${group}`, () => {
    let executed = 0;
    for (const golden of GOLDENS.cases.filter(golden => golden.group === group)) {
      it(golden.name, () => {
        check(golden);
        executed++;
      });
    }
    after(() => assert.equal(executed, GOLDENS.counts[group]));
  });
}

describe('JPEG against libjpeg', () => {
  for (const golden of GOLDENS.cases.filter(golden => golden.operation === 'jpeg')) {
    it(`gives the bytes of Pillow for ${golden.name}`, () => {
      const image = toPlanar(golden.input as string);
      FILTERS.jpeg!(image, golden.parameters as unknown as Parameters);
      assert.deepEqual(
        Uint8Array.from(toInterleaved(image), value => Math.round(value * 255)),
        goldenArray(golden.output!).data,
      );
    });
  }
});
