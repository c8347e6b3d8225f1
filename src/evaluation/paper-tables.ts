/**
 * The figures that the paper prints: Prakash, Moran, Garber, DiLillo, Storer, 'Deflecting Adversarial Attacks with Pixel
 * Deflection', CVPR 2018. Accuracies in percent, of ResNet-50 unless said otherwise; |L2| as printed.
 */

/** Rows of the paper by its names of attacks. */
type ByAttack<T> = Readonly<Record<string, T>>;

interface Accuracy {
  readonly l2: number;
  readonly none: number;
  readonly single: number;
  readonly ensemble: number;
}

const accuracy = (l2: number, none: number, single: number, ensemble: number): Accuracy => ({
  l2,
  none,
  single,
  ensemble,
});

export const PAPER_TABLE_1: ByAttack<Accuracy> = {
  Clean: accuracy(0, 100, 98.3, 98.9),
  FGSM: accuracy(0.05, 20.0, 79.9, 81.5),
  IGSM: accuracy(0.03, 14.1, 83.7, 83.7),
  DFool: accuracy(0.02, 26.3, 86.3, 90.3),
  JSMA: accuracy(0.02, 25.5, 91.5, 97.0),
  LBFGS: accuracy(0.02, 12.1, 88.0, 91.6),
  'C&W': accuracy(0.04, 4.8, 92.7, 98.0),
};

/** Table 1, 'large perturbations'. */
export const PAPER_TABLE_1_LARGE: ByAttack<Accuracy> = {
  FGSM: accuracy(0.12, 11.1, 61.5, 70.4),
  IGSM: accuracy(0.09, 11.1, 62.5, 72.5),
  DFool: accuracy(0.08, 8.0, 82.4, 88.9),
  JSMA: accuracy(0.05, 22.1, 88.9, 92.1),
  LBFGS: accuracy(0.04, 12.1, 77.0, 89.0),
};

export const PAPER_TABLE_2: ByAttack<Accuracy> = {
  Clean: accuracy(0, 100, 98.1, 98.9),
  FGSM: accuracy(0.04, 19.2, 79.7, 81.2),
  IGSM: accuracy(0.03, 11.8, 81.7, 82.4),
  DFool: accuracy(0.02, 18.0, 87.7, 92.4),
  JSMA: accuracy(0.02, 24.9, 93.0, 98.1),
  LBFGS: accuracy(0.02, 11.6, 90.3, 93.6),
  'C&W': accuracy(0.04, 5.2, 93.1, 98.3),
};

export const PAPER_TABLE_3: Readonly<Record<string, ByAttack<Accuracy>>> = {
  'ResNet-50': PAPER_TABLE_1,
  'VGG-19': {
    Clean: accuracy(0, 100, 99.8, 99.8),
    FGSM: accuracy(0.05, 12.2, 79.3, 81.3),
    IGSM: accuracy(0.04, 9.79, 79.2, 81.6),
    DFool: accuracy(0.01, 23.7, 83.9, 91.6),
    JSMA: accuracy(0.01, 29.1, 95.8, 98.5),
    LBFGS: accuracy(0.03, 13.8, 83.0, 93.9),
    'C&W': accuracy(0.04, 0, 93.1, 97.6),
  },
  'Inception-v3': {
    Clean: accuracy(0, 100, 98.1, 98.5),
    FGSM: accuracy(0.05, 22.1, 85.8, 87.1),
    IGSM: accuracy(0.04, 15.5, 89.7, 89.1),
    DFool: accuracy(0.02, 27.2, 82.6, 85.3),
    JSMA: accuracy(0.02, 24.2, 93.7, 98.6),
    LBFGS: accuracy(0.02, 12.5, 87.1, 91.0),
    'C&W': accuracy(0.04, 7.1, 93.9, 98.5),
  },
};

/** Destruction rates in percent, by the paper's row and attack. */
export const PAPER_TABLE_4: Readonly<Record<string, ByAttack<number>>> = {
  'bits:2': { FGSM: 13.2, IGSM: 51.1, DFool: 28.6, 'C&W': 17.0 },
  'bits:5': { FGSM: 5.7, IGSM: 2.2, DFool: 31.0, 'C&W': 95.7 },
  'median:2': { FGSM: 35.8, IGSM: 42.2, DFool: 71.4, 'C&W': 89.4 },
  'median:3': { FGSM: 26.4, IGSM: 44.4, DFool: 50.0, 'C&W': 72.3 },
  'nlm:11-3-2': { FGSM: 11.3, IGSM: 15.6, DFool: 35.7, 'C&W': 93.6 },
  'nlm:13-3-4': { FGSM: 22.6, IGSM: 44.4, DFool: 54.8, 'C&W': 93.6 },
  squeeze: { FGSM: 43.4, IGSM: 64.4, DFool: 78.6, 'C&W': 91.5 },
  'resizepad:0.9-pad': { FGSM: 5.0, DFool: 97.2, 'C&W': 69.8 },
  'resizepad:0.9-resize': { FGSM: 36.0, DFool: 97.4, 'C&W': 97.1 },
  resizepad: { FGSM: 47.8, DFool: 98.3, 'C&W': 96.9 },
  quilt: { FGSM: 61.1, IGSM: 86.2, DFool: 85.8, 'C&W': 84.3 },
  'tvm,quilt': { FGSM: 61.9, IGSM: 86.6, DFool: 86.6, 'C&W': 84.1 },
  'crop,tvm,quilt': { FGSM: 62.9, IGSM: 88.2, DFool: 88.3, 'C&W': 85.9 },
  pd: { FGSM: 73.5, IGSM: 88.0, DFool: 91.4, 'C&W': 93.1 },
  'pd-rcam': { FGSM: 74.6, IGSM: 91.2, DFool: 91.1, 'C&W': 95.2 },
  'pd-rcam-dct': { FGSM: 73.7, IGSM: 90.6, DFool: 87.4, 'C&W': 93.0 },
  paper: { FGSM: 76.9, IGSM: 92.7, DFool: 94.8, 'C&W': 98.1 },
};

/** Columns JPG, WD, PD, PD JPG, WD PD JPG, WD PD; votes of ten. */
export const PAPER_TABLE_5: ByAttack<readonly number[]> = {
  Clean: [96.1, 98.7, 97.4, 96.1, 96.1, 98.9],
  FGSM: [49.1, 40.6, 79.7, 81.1, 78.8, 81.5],
  IGSM: [49.1, 31.2, 82.4, 82.4, 79.7, 83.7],
  DFool: [67.8, 61.1, 86.3, 86.3, 86.3, 90.3],
  JSMA: [91.6, 89.1, 95.7, 93.0, 93.0, 97.0],
  LBFGS: [71.8, 67.2, 90.3, 89.1, 88.9, 91.6],
  'C&W': [85.5, 95.4, 95.4, 94.1, 93.4, 98.0],
};

/** Columns hard, VISU, SURE, Bayes. */
export const PAPER_TABLE_6: ByAttack<readonly number[]> = {
  Clean: [39.5, 96.1, 92.1, 98.9],
  FGSM: [35.9, 63.8, 79.7, 81.5],
  IGSM: [42.5, 67.8, 81.1, 83.7],
  DFool: [37.2, 78.4, 87.7, 90.3],
  JSMA: [39.9, 93.0, 93.0, 97.0],
  LBFGS: [37.2, 81.1, 90.4, 91.6],
  'C&W': [36.8, 93.4, 92.8, 98.0],
};

/** Columns: without a defence; 10, 100, 1000, 10,000 deflections. */
export const PAPER_TABLE_7: ByAttack<readonly number[]> = {
  Clean: [100, 98.4, 98.1, 94.7, 80.3],
  FGSM: [19.2, 75.7, 79.7, 71.7, 69.1],
  IGSM: [13.8, 78.4, 81.7, 75.2, 71.2],
  DFool: [25.0, 83.7, 87.7, 81.0, 77.0],
  JSMA: [25.9, 91.7, 93.0, 87.7, 67.7],
  LBFGS: [11.6, 85.0, 90.3, 82.4, 73.0],
  'C&W': [5.2, 89.4, 93.1, 86.8, 69.7],
};

/** Columns: without a defence; windows of 5, 10, 50, 100. */
export const PAPER_TABLE_8: ByAttack<readonly number[]> = {
  Clean: [100, 98.6, 98.1, 96.4, 94.4],
  FGSM: [19.2, 79.7, 79.7, 78.4, 76.7],
  IGSM: [13.8, 81.0, 81.7, 79.7, 78.4],
  DFool: [25.0, 86.4, 87.7, 87.7, 85.0],
  JSMA: [25.9, 92.3, 93.0, 91.7, 90.3],
  LBFGS: [11.6, 89.4, 90.3, 89.0, 88.1],
  'C&W': [5.2, 91.8, 93.1, 90.5, 89.2],
};

/** Columns: windows of 5, 10, 50, 100. */
export const PAPER_TABLE_9 = {
  sampling: { uniform: [86.7, 87.5, 86.1, 84.6], gaussian: [80.0, 81.4, 79.0, 76.4] },
  replacement: {
    min: [73.0, 64.4, 49.1, 44.3],
    max: [69.7, 63.8, 51.9, 45.4],
    mean: [83.6, 72.3, 57.2, 49.1],
    random: [86.7, 87.5, 86.1, 84.6],
  },
  denoising: { bilateral: 78.1, anisotropic: 84.1, tvm: 77.26, deconvolution: 85.12, wavelet: 87.5 },
} as const;

/** Section 10.2: how often the adversarial class is the second of the clean image, 'nearly 40 %'. */
export const PAPER_SECOND_CLASS = 40;
