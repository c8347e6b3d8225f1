/** The defences of the protocols: the paper's, its parts and variants, and the rivals of its tables. */
import { type DefenceSettings, PAPER_SETTINGS } from '../defense/settings.js';

/** One defence under fixed settings; the seed is the evaluation's. */
export interface DefenceCase {
  /** Unique among the cases of a table. */
  readonly id: string;
  /** For tables. */
  readonly title: string;
  readonly settings: Omit<DefenceSettings, 'seed'>;
}

/** A variant of the paper's defence. */
export function variant(id: string, title: string, changes: Partial<DefenceCase['settings']>): DefenceCase {
  return Object.freeze({ id, title, settings: Object.freeze({ ...PAPER_SETTINGS, ...changes }) });
}

/** A rival defence, by its steps; where they draw, ten runs vote as they do for the paper's. */
export function rival(title: string, order: string, changes: Partial<DefenceCase['settings']> = {}): DefenceCase {
  return variant(order, title, { order: Object.freeze(order.split(',')), ...changes });
}

/** Pixel deflection by the robust activation map, wavelet shrinkage, ten runs. */
export const PAPER = variant('paper', 'PD + R-CAM + DWT (paper)', {});

/** Shrinkage as scikit-image has it from release 0.16 on. */
export const PAPER_MODERN = variant('paper-modern', 'PD + R-CAM + DWT, modern shrinkage', { variant: 'modern' });

export const DEFLECTION = variant('pd', 'PD', { map: 'uniform', order: ['deflect'] });
export const DEFLECTION_MAP = variant('pd-rcam', 'PD + R-CAM', { order: ['deflect'] });
export const SHRINKAGE = variant('wd', 'WD', { order: ['denoise'] });
export const JPEG = rival('JPEG, quality 75', 'jpeg:75');
