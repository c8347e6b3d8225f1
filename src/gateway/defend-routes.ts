/** One image at once: its verdict, or all that a panel shows. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { DeflectorError } from '../errors.js';
import { panelPictures } from '../report/panel-pictures.js';
import { rawImage, sizeWithin } from '../report/pictures.js';
import { formatVerdict } from '../sinks/verdict-json.js';
import type { RgbImage } from '../types.js';
import type { Defended, DirectDefence } from './direct-defence.js';
import { explanationAnswer, imageQuery, verdictAnswer } from './schemas.js';

/** Longer side of a picture, in pixels; smaller ones stay as they are. */
const PICTURE_SIDE = 512;

const BODIES = ['image/*', 'application/octet-stream', 'multipart/form-data'];

export interface DefendOptions {
  /** Longest time in seconds that defending one image may take. */
  readonly requestDeadline: number;
  readonly maxBytes: number;
}

export function defendRoutes(app: FastifyInstance, direct: DirectDefence, options: DefendOptions): void {
  const schema = {
    tags: ['defend'],
    description:
      'The body is an image file (JPEG, PNG, WebP, AVIF, TIFF, GIF), or a form with one. `Prefer: wait=SECONDS` shortens the time that it may take.',
    consumes: BODIES,
    querystring: imageQuery,
  };
  app.post(
    '/v1/defend',
    {
      bodyLimit: options.maxBytes,
      config: { idempotent: true },
      schema: { ...schema, operationId: 'defend', summary: 'Defend one image', response: { 200: verdictAnswer } },
    },
    async (request, reply) => {
      const { verdict } = await defended(request, direct, options, false);
      return reply.type('application/json').send(formatVerdict(verdict));
    },
  );
  app.post(
    '/v1/explain',
    {
      bodyLimit: options.maxBytes,
      schema: {
        ...schema,
        operationId: 'explain',
        summary: 'Defend one image, and show how',
        response: { 200: explanationAnswer },
      },
    },
    async request => answerOf(await defended(request, direct, options, true)),
  );
}

async function defended(
  request: FastifyRequest,
  direct: DirectDefence,
  options: DefendOptions,
  explanation: boolean,
): Promise<Defended> {
  const { name } = request.query as z.infer<typeof imageQuery>;
  const image = await imageOf(request);
  return direct.defend(image.bytes, name ?? image.name, { explanation }, deadlineOf(request, options.requestDeadline));
}

/** @throws DeflectorError REQUEST_INVALID, MEDIA_TYPE_UNSUPPORTED */
async function imageOf(request: FastifyRequest): Promise<{ bytes: Uint8Array; name: string }> {
  if (request.isMultipart()) return fileOf(request);
  if (request.body instanceof Uint8Array) return { bytes: request.body, name: 'image' };
  throw new DeflectorError('MEDIA_TYPE_UNSUPPORTED', `Expected one of ${BODIES.join(', ')}`);
}

/** @throws DeflectorError REQUEST_INVALID; the framework's own where the file is too large */
async function fileOf(request: FastifyRequest): Promise<{ bytes: Uint8Array; name: string }> {
  try {
    const file = await request.file();
    if (file === undefined) throw new DeflectorError('REQUEST_INVALID', 'The form holds no file');
    const bytes = await file.toBuffer();
    return { bytes, name: file.filename?.slice(0, 200) || 'image' };
  } catch (error) {
    if (error instanceof DeflectorError || (error as { statusCode?: number }).statusCode !== undefined) throw error;
    throw new DeflectorError('REQUEST_INVALID', 'The form cannot be read', { cause: error });
  }
}

/** Milliseconds. RFC 7240, 4.3: a client may wait for less than it could. */
function deadlineOf({ headers }: FastifyRequest, most: number): number {
  const [, seconds] = /(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])/.exec(String(headers.prefer ?? '')) ?? [];
  return 1000 * Math.min(most, seconds === undefined ? most : Number(seconds));
}

async function answerOf({ verdict, outcome, labels }: Defended): Promise<z.infer<typeof explanationAnswer>> {
  const explanation = outcome.explanation!;
  const { input, deflected } = explanation;
  const longer = Math.max(input.width, input.height);
  const size = longer <= PICTURE_SIDE ? input : sizeWithin(input, PICTURE_SIDE, PICTURE_SIDE);
  const { gain, ...pictures } = await panelPictures(explanation, size, 1);
  const [shown, map, dots, defence, difference] = await Promise.all(
    [pictures.input, pictures.map, pictures.deflected, pictures.defended, pictures.difference].map(dataUrl),
  );
  return {
    verdict: JSON.parse(formatVerdict(verdict)) as z.infer<typeof verdictAnswer>,
    labels: Object.fromEntries(verdict.votes.map(({ index }) => [index, labels[index]?.name ?? ''])),
    width: input.width,
    height: input.height,
    deflections: deflected.length,
    gain,
    pictures: { input: shown!, map: map!, deflected: dots!, defended: defence!, difference: difference! },
  };
}

async function dataUrl(image: RgbImage): Promise<string> {
  const png = await rawImage(image).png({ compressionLevel: 6 }).toBuffer();
  return `data:image/png;base64,${png.toString('base64')}`;
}
