/**
 * Reads `preprocessor_config.json`: how the image processors of the Transformers library describe the way from an
 * image to a network's input (https://huggingface.co/docs/transformers/main_classes/image_processor).
 */
import { z } from 'zod';
import { DeflectorError } from '../errors.js';
import type { Preprocessing } from '../types.js';

const side = z.number().int().min(1).max(16_384);
const factor = z.number().finite();
/** One number for all channels, or one a channel. */
const perChannel = z.union([factor, z.tuple([factor, factor, factor])]);
const size = z.union([
  side,
  z.object({ height: side, width: side }),
  z.object({ shortest_edge: side }),
  z.tuple([side, side]).transform(([height, width]) => ({ height, width })),
]);

/** The fields that matter here; processors write many more. `null` stands for an absent field. */
const schema = z.object({
  image_processor_type: z.string().nullish(),
  feature_extractor_type: z.string().nullish(),
  do_resize: z.boolean().nullish(),
  size: size.nullish(),
  resample: z.number().int().nullish(),
  do_center_crop: z.boolean().nullish(),
  crop_size: size.nullish(),
  crop_pct: z.number().gt(0).lte(1).nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: factor.gt(0).nullish(),
  rescale_offset: z.boolean().nullish(),
  do_normalize: z.boolean().nullish(),
  include_top: z.boolean().nullish(),
  image_mean: perChannel.nullish(),
  image_std: perChannel.nullish(),
  do_flip_channel_order: z.boolean().nullish(),
  /** What no processor of Transformers can say. */
  deflector: z.object({ fit: z.literal('crop-then-resize') }).nullish(),
});

type ProcessorConfig = z.infer<typeof schema>;

/** `PIL.Image.Resampling` by number; box and Hamming filters are not offered. */
const INTERPOLATIONS: Readonly<Record<number, Preprocessing['interpolation']>> = {
  0: 'nearest',
  1: 'lanczos',
  2: 'bilinear',
  3: 'bicubic',
};

/** What the processors assume where `crop_pct` is absent: ConvNeXT's default. */
const DEFAULT_CROP = 224 / 256;

/** From this shorter side on, ConvNeXT processors stretch the whole image and crop nothing. */
const CONVNEXT_STRETCHES_FROM = 384;

type Geometry = Pick<Preprocessing, 'width' | 'height' | 'fit' | 'cropFraction' | 'resizeShortest'>;

/**
 * @param config parsed JSON
 * @param layout of the network's input
 * @throws DeflectorError MODEL_INVALID for a file that cannot be read so, MODEL_UNSUPPORTED for a way that is not offered
 */
export function parsePreprocessing(config: unknown, layout: Preprocessing['layout']): Preprocessing {
  const parsed = schema.safeParse(config);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(`${issue?.path.join('.') || 'the file'}: ${issue?.message}`);
  }
  const fields = parsed.data;
  const interpolation = INTERPOLATIONS[fields.resample ?? 2];
  if (interpolation === undefined) throw unsupported(`resample ${fields.resample} (0, 1, 2 and 3 are)`);
  return Object.freeze({
    ...geometry(fields),
    interpolation,
    ...normalisation(fields),
    channels: fields.do_flip_channel_order ? 'bgr' : 'rgb',
    layout,
  });
}

/** Everything that a processor's file must say. `crop`: share of the shorter side that the centre crop keeps. */
export type ProcessorDescription = Pick<
  Preprocessing,
  'width' | 'height' | 'fit' | 'interpolation' | 'mean' | 'std' | 'channels'
> & { readonly crop: number };

/** The `preprocessor_config.json` of a model whose user describes it: the inverse of {@link parsePreprocessing}. */
export function processorConfig(described: ProcessorDescription): Record<string, unknown> {
  const { width, height, fit, crop } = described;
  const input = { height, width };
  const resample = Object.entries(INTERPOLATIONS).find(([, name]) => name === described.interpolation)?.[0];
  const geometries: Readonly<Record<Preprocessing['fit'], Record<string, unknown>>> = {
    stretch: { size: input, do_center_crop: false },
    'resize-then-crop': {
      size: { shortest_edge: Math.floor(Math.min(width, height) / crop) },
      do_center_crop: true,
      crop_size: input,
    },
    'crop-then-resize': { size: input, crop_pct: crop, deflector: { fit: 'crop-then-resize' } },
  };
  return {
    do_resize: true,
    ...geometries[fit],
    resample: Number(resample),
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: described.mean,
    image_std: described.std,
    ...(described.channels === 'bgr' ? { do_flip_channel_order: true } : {}),
  };
}

function geometry(fields: ProcessorConfig): Geometry {
  if (fields.do_resize === false) throw unsupported('do_resize false');
  const type = fields.image_processor_type ?? fields.feature_extractor_type ?? '';
  const crop = fields.crop_size ?? fields.size;
  if (fields.size == null) throw invalid('size is missing');
  const edge = shortestEdge(fields, type);
  if (fields.deflector?.fit === 'crop-then-resize') {
    return { ...target(fields.crop_size ?? fields.size), ...fitted('crop-then-resize', fields.crop_pct ?? 1, 0) };
  }
  if (edge === undefined) {
    const input = target(fields.size);
    if (crops(fields)) {
      const cropped = target(crop);
      if (cropped.width !== input.width || cropped.height !== input.height) {
        throw unsupported('a centre crop behind a resize that changes the aspect ratio');
      }
    }
    return { ...input, ...fitted('stretch', 1, 0) };
  }
  if (/^ConvNext/.test(type) || fields.crop_pct != null) {
    const input = target(fields.crop_size ?? edge);
    if (/^ConvNext/.test(type) && edge >= CONVNEXT_STRETCHES_FROM) return { ...input, ...fitted('stretch', 1, 0) };
    return { ...input, ...fitted('resize-then-crop', 1, Math.floor(edge / (fields.crop_pct ?? DEFAULT_CROP))) };
  }
  if (!crops(fields)) throw unsupported('size.shortest_edge without a centre crop, which leaves the input size open');
  // Levit's processor enlarges the shorter side by itself before it crops.
  const shortest = /^Levit/.test(type) ? Math.floor((256 / 224) * edge) : edge;
  const input = target(crop);
  return { ...input, ...fitted('resize-then-crop', 1, shortest) };
}

function fitted(
  fit: Preprocessing['fit'],
  cropFraction: number,
  resizeShortest: number,
): Pick<Preprocessing, 'fit' | 'cropFraction' | 'resizeShortest'> {
  return { fit, cropFraction, resizeShortest };
}

function crops(fields: ProcessorConfig): boolean {
  return fields.do_center_crop ?? fields.crop_size != null;
}

/** The shorter side that the image is resized to; `undefined` where it is resized to a fixed width and height. */
function shortestEdge(fields: ProcessorConfig, type: string): number | undefined {
  const { size: given } = fields;
  if (given == null) return undefined;
  if (typeof given === 'object') return 'shortest_edge' in given ? given.shortest_edge : undefined;
  // Before sizes had names, a single number meant the shorter side to processors that crop, a square to the others.
  const square = /^(DeiT|ViT|EfficientNet)/.test(type) || (!crops(fields) && fields.crop_pct == null);
  return square ? undefined : given;
}

function target(given: ProcessorConfig['size']): { width: number; height: number } {
  if (given == null) throw invalid('size is missing');
  if (typeof given === 'number') return { width: given, height: given };
  return 'shortest_edge' in given
    ? { width: given.shortest_edge, height: given.shortest_edge }
    : { width: given.width, height: given.height };
}

/** Everything linear that happens to a pixel, as one mean and one standard deviation on the [0,1] scale. */
function normalisation(fields: ProcessorConfig): Pick<Preprocessing, 'mean' | 'std'> {
  const gain = fields.do_rescale === false ? 255 : 255 * (fields.rescale_factor ?? 1 / 255);
  const offset = fields.do_rescale !== false && fields.rescale_offset ? 1 : 0;
  // MobileViT's processor is the one that has no normalisation to switch off.
  const normalised = fields.do_normalize ?? !/^MobileViT/.test(fields.image_processor_type ?? '');
  if (normalised && (fields.image_mean == null || fields.image_std == null)) {
    throw invalid('image_mean and image_std are missing');
  }
  const mean = normalised ? triple(fields.image_mean ?? 0) : triple(0);
  const std = normalised ? triple(fields.image_std ?? 1) : triple(1);
  if (std.some(value => value === 0)) throw invalid('image_std holds a zero');
  // EfficientNet's processor divides by the standard deviation a second time for its classifiers.
  const twice = normalised && fields.include_top && /^EfficientNet/.test(fields.image_processor_type ?? '');
  return {
    mean: map(mean, value => (value + offset) / gain),
    std: map(std, value => (value * (twice ? value : 1)) / gain),
  };
}

function triple(value: number | [number, number, number]): [number, number, number] {
  return typeof value === 'number' ? [value, value, value] : value;
}

function map(values: [number, number, number], f: (value: number) => number): [number, number, number] {
  return [f(values[0]), f(values[1]), f(values[2])];
}

function invalid(what: string): DeflectorError {
  return new DeflectorError('MODEL_INVALID', `preprocessor_config.json: ${what}`);
}

function unsupported(what: string): DeflectorError {
  return new DeflectorError('MODEL_UNSUPPORTED', `preprocessor_config.json asks for what is not offered: ${what}`);
}
