/** One panel of one image: what `deflector explain` draws. */
import { Resvg } from '@resvg/resvg-js';
import { invalid } from '../errors.js';
import type { Explanation, Label, OkVerdict, RgbImage } from '../types.js';
import { MAGMA } from './colour-map.js';
import { describeDefence } from './describe-defence.js';
import { percent } from './numbers.js';
import { panelPictures } from './panel-pictures.js';
import { fittedText, PANEL_FONT, type TextStyle, textElement } from './panel-text.js';
import { rawImage, sizeWithin } from './pictures.js';
import { shortText, visibleText } from './visible-text.js';
import { labelName, voteBars } from './vote-bars.js';

export interface PanelOptions {
  /** Pixels of the file per layout pixel; the layout is 976 wide. Default 2. */
  readonly scale?: 1 | 2 | 3 | 4;
  /** The model's labels, so that every vote has a name; without them minority votes show their class index. */
  readonly labels?: readonly Label[];
}

const MARGIN = 24;
const TILE = 296;
const GAP = 20;
const WIDTH = 2 * MARGIN + 3 * TILE + 2 * GAP;
/** The shape of the tiles follows the image between these heights; beyond them the image is centred in its tile. */
const TILE_HEIGHT = { least: 210, most: 420 };
const HEADER = 72;
const CAPTION = 26;
const NOTE = 34;
const ROW_GAP = 10;

const INK = '#1b1f24';
const QUIET = '#5b6470';
const RULE = '#d5dae0';
const VOTED = '#1f6feb';
const UNDEFENDED = '#c2570c';
const OTHER = '#9aa4b0';

const TITLE: TextStyle = { size: 17, weight: 600, fill: INK };
const BODY: TextStyle = { size: 12, weight: 400, fill: QUIET };
const HEADING: TextStyle = { size: 13, weight: 600, fill: INK };

/**
 * Draws input, activation map, deflected pixels, defended image, difference and votes side by side.
 *
 * @returns a PNG of 976 * scale pixels width; its height follows the shape of the image
 * @throws DeflectorError SETTINGS_INVALID for a scale that is not offered
 */
export async function drawPanel(explanation: Explanation, options: PanelOptions = {}): Promise<Uint8Array> {
  const scale = options.scale ?? 2;
  if (![1, 2, 3, 4].includes(scale)) throw invalid('scale', '1, 2, 3 or 4', scale);
  const { verdict, input, deflected } = explanation;
  const wanted = Math.round((TILE * input.height) / input.width);
  const tileHeight = Math.min(Math.max(wanted, TILE_HEIGHT.least), TILE_HEIGHT.most);
  const rowHeight = CAPTION + tileHeight + NOTE;
  const height = HEADER + 2 * rowHeight + ROW_GAP + MARGIN - 8;
  const size = sizeWithin(input, TILE * scale, tileHeight * scale);
  const pictures = await panelPictures(explanation, size, scale);
  const shown = [pictures.input, pictures.map, pictures.deflected, pictures.defended, pictures.difference];
  const pngs = await Promise.all(shown.map(png));

  const columns = [0, 1, 2].map(column => MARGIN + column * (TILE + GAP));
  const places = [0, 1, 2, 3, 4, 5].map(cell => ({
    x: columns[cell % 3]!,
    y: HEADER + Math.floor(cell / 3) * (rowHeight + ROW_GAP),
  }));
  const captions = ['Input', mapTitle(verdict), 'Deflected pixels', 'Defended image', 'Difference', 'Votes'];
  const count = deflected.length;
  const notes = [
    `${input.width} × ${input.height} pixels, as the defence saw it`,
    '',
    deflectedNote(verdict, count),
    'result of the first run',
    pictures.gain === 0 ? 'none: not one pixel changed' : `defended − input, × ${pictures.gain}; grey is no change`,
    '',
  ];

  const parts = [header(verdict)];
  for (const [cell, place] of places.entries()) {
    parts.push(textElement(place.x, place.y + 15, 'abcdef'[cell]!, HEADING));
    parts.push(textElement(place.x + 16, place.y + 15, captions[cell]!, HEADING));
    if (notes[cell] !== '') parts.push(textElement(place.x, place.y + CAPTION + tileHeight + 19, notes[cell]!, BODY));
  }
  for (const [cell, bytes] of pngs.entries()) {
    const place = places[cell]!;
    const [width, drawn] = [size.width / scale, size.height / scale];
    const x = place.x + Math.floor(((TILE - width) / 2) * scale) / scale;
    const y = place.y + CAPTION + Math.floor(((tileHeight - drawn) / 2) * scale) / scale;
    if (width < TILE || drawn < tileHeight) {
      parts.push(
        `<rect x="${place.x}" y="${place.y + CAPTION}" width="${TILE}" height="${tileHeight}" fill="#f3f5f7"/>`,
      );
    }
    parts.push(
      `<image x="${x}" y="${y}" width="${width}" height="${drawn}" href="data:image/png;base64,${bytes.toString('base64')}"/>`,
    );
  }
  if (isMapUsed(verdict)) parts.push(colourBar(places[1]!.x, places[1]!.y + CAPTION + tileHeight + 10));
  parts.push(votes(verdict, options.labels, places[5]!.x, places[5]!.y + CAPTION, tileHeight + NOTE));

  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH * scale}" height="${height * scale}" viewBox="0 0 ${WIDTH} ${height}">` +
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>${parts.join('')}</svg>`;
  return new Resvg(svg, { font: PANEL_FONT, shapeRendering: 2, textRendering: 2 }).render().asPng();
}

function png(image: RgbImage): Promise<Buffer> {
  return rawImage(image).png({ compressionLevel: 3 }).toBuffer();
}

/** Steps by their texts. */
function orderOf({ defence }: OkVerdict): readonly string[] {
  return Array.isArray(defence.order) ? defence.order.map(String) : ['deflect', 'denoise'];
}

function isMapUsed(verdict: OkVerdict): boolean {
  const { deflection, deflections } = verdict.defence;
  return orderOf(verdict).includes('deflect') && deflection !== 'none' && deflections !== 0;
}

/** How many, and what came before: a step that moves the image moves it from under its places. */
function deflectedNote(verdict: OkVerdict, count: number): string {
  const order = orderOf(verdict);
  const place = order.indexOf('deflect');
  if (place < 0) return 'none: no step deflects';
  const before = place === 0 ? '' : `, after ${shortText(order.slice(0, place).join(', '), 24)}`;
  return `${count === 0 ? 'none' : count.toLocaleString('en')} in the first run${before}`;
}

function mapTitle(verdict: OkVerdict): string {
  if (!isMapUsed(verdict)) return 'Activation map (not used)';
  const names: Readonly<Record<string, string>> = {
    rcam: 'Activation map (R-CAM)',
    cam: 'Activation map (CAM)',
    official: 'Activation map (official R-CAM)',
    uniform: 'Activation map (uniform)',
  };
  return names[String(verdict.defence.map)] ?? 'Activation map';
}

function header(verdict: OkVerdict): string {
  const width = WIDTH - 2 * MARGIN;
  const key = fittedText(visibleText(verdict.key), width, TITLE, 'both');
  const line = [
    `${shortText(verdict.model.name, 40)} (${verdict.model.sha256.slice(0, 8)})`,
    describeDefence(verdict.defence),
    `seed ${shortText(verdict.seed, 10)}`,
  ].filter(part => part !== '');
  return (
    textElement(MARGIN, 34, key, TITLE) +
    textElement(MARGIN, 54, fittedText(line.join(' · '), width, BODY, 'start'), BODY)
  );
}

function colourBar(x: number, y: number): string {
  const stops = MAGMA.map(
    (colour, index) => `<stop offset="${index / (MAGMA.length - 1)}" stop-color="rgb(${colour.join(',')})"/>`,
  );
  const low = '0  deflected';
  const high = 'spared  1';
  return (
    `<defs><linearGradient id="magma">${stops.join('')}</linearGradient></defs>` +
    textElement(x, y + 9, low, BODY) +
    `<rect x="${x + 76}" y="${y}" width="${TILE - 76 - 62}" height="10" fill="url(#magma)"/>` +
    textElement(x + TILE, y + 9, high, { ...BODY, anchor: 'end' })
  );
}

/** The verdict in words, then a bar for each label that a run voted for. */
function votes(verdict: OkVerdict, labels: readonly Label[] | undefined, x: number, y: number, room: number): string {
  const large: TextStyle = { size: 20, weight: 600, fill: INK };
  const parts = [
    textElement(x, y + 18, fittedText(labelName(verdict.label), TILE, large, 'start'), large),
    textElement(
      x,
      y + 38,
      `${Math.round(verdict.agreement * verdict.runsExecuted)} of ${verdict.runsExecuted} runs agree` +
        `${verdict.runsExecuted < verdict.runs ? ` (up to ${verdict.runs})` : ''}, probability ${percent(verdict.probability)}`,
      BODY,
    ),
    textElement(
      x,
      y + 60,
      fittedText(
        `Undefended: ${labelName(verdict.undefended)}, ${percent(verdict.undefended.probability)}`,
        TILE,
        { ...BODY, fill: INK },
        'start',
      ),
      { ...BODY, fill: INK },
    ),
    badge(x, y + 72, verdict.suspicious),
  ];
  const line = 36;
  const first = y + 116;
  const places = Math.max(1, Math.floor((y + room - first) / line));
  const { bars, others } = voteBars(verdict, labels, places);
  for (const [index, bar] of bars.entries()) {
    const top = first + index * line;
    const colour = bar.role === 'voted' ? VOTED : bar.role === 'undefended' ? UNDEFENDED : OTHER;
    const style: TextStyle = { ...BODY, fill: INK, weight: bar.role === 'voted' ? 600 : 400 };
    const length = TILE * bar.share;
    const name = bar.role === 'undefended' ? `${bar.name} (undefended)` : bar.name;
    parts.push(textElement(x, top + 10, fittedText(name, TILE - 44, style, 'start'), style));
    parts.push(textElement(x + TILE, top + 10, String(bar.count), { ...style, anchor: 'end' }));
    parts.push(`<rect x="${x}" y="${top + 15}" width="${TILE}" height="8" rx="2" fill="#eef1f4"/>`);
    if (bar.count > 0) {
      parts.push(`<rect x="${x}" y="${top + 15}" width="${Math.max(length, 3)}" height="8" rx="2" fill="${colour}"/>`);
    }
  }
  if (others > 0) {
    parts.push(textElement(x, first + bars.length * line + 8, `${others} votes for other labels`, BODY));
  }
  return parts.join('');
}

function badge(x: number, y: number, suspicious: boolean): string {
  const [fill, stroke, ink, words] = suspicious
    ? ['#fdf1e7', UNDEFENDED, '#8f3d05', 'Suspicious: the vote changed the label']
    : ['#eef6f0', '#3b8f55', '#22613a', 'The vote confirms the undefended label'];
  const mark = suspicious
    ? `<path d="M${x + 16} ${y + 6.5}l6.2 11h-12.4z" fill="none" stroke="${stroke}" stroke-width="1.4" stroke-linejoin="round"/>` +
      `<path d="M${x + 16} ${y + 10.5}v3.2m0 1.7v.1" stroke="${stroke}" stroke-width="1.4" stroke-linecap="round"/>`
    : `<path d="M${x + 10.5} ${y + 12.5}l3.6 3.6 7.2-7.6" fill="none" stroke="${stroke}" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/>`;
  return (
    `<rect x="${x + 0.5}" y="${y + 0.5}" width="${TILE - 1}" height="24" rx="4" fill="${fill}" stroke="${stroke}" stroke-opacity=".45"/>` +
    mark +
    textElement(x + 30, y + 16.5, words, { ...BODY, weight: 600, fill: ink }) +
    `<path d="M${x} ${y + 36}h${TILE}" stroke="${RULE}"/>`
  );
}
