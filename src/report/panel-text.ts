/** Text in panels: one font that comes along, because a bare machine has none. */
import { createRequire } from 'node:module';
import { Resvg, type ResvgRenderOptions } from '@resvg/resvg-js';
import { escapeMarkup } from './markup.js';

const require = createRequire(import.meta.url);

/** Inter (SIL Open Font License 1.1). Fonts of the machine stay out: the same panel on every machine. */
export const PANEL_FONT: NonNullable<ResvgRenderOptions['font']> = {
  fontFiles: [
    require.resolve('@expo-google-fonts/inter/400Regular/Inter_400Regular.ttf'),
    require.resolve('@expo-google-fonts/inter/600SemiBold/Inter_600SemiBold.ttf'),
  ],
  loadSystemFonts: false,
  defaultFontFamily: 'Inter',
};

export interface TextStyle {
  readonly size: number;
  readonly weight: 400 | 600;
  readonly fill: string;
  readonly anchor?: 'start' | 'middle' | 'end';
}

/** An SVG text element with its baseline at (x, y). `text` is escaped here. */
export function textElement(x: number, y: number, text: string, style: TextStyle): string {
  const anchor = style.anchor === undefined ? '' : ` text-anchor="${style.anchor}"`;
  return (
    `<text x="${x}" y="${y}" font-family="Inter" font-size="${style.size}" font-weight="${style.weight}" ` +
    `fill="${style.fill}"${anchor} xml:space="preserve">${escapeMarkup(text)}</text>`
  );
}

/** Width of a text as it will be drawn, in layout pixels. */
export function textWidth(text: string, style: TextStyle): number {
  if (text.trim() === '') return 0;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16">${textElement(0, 0, text, { ...style, anchor: 'start' })}</svg>`;
  const box = new Resvg(svg, { font: PANEL_FONT }).getBBox();
  return box === undefined ? 0 : box.x + box.width;
}

/**
 * The text, or as much of it as fits in `width`, with an ellipsis for what was left out.
 *
 * @param keep which end stays: `start` for names, `both` for keys, whose last part is the file
 */
export function fittedText(text: string, width: number, style: TextStyle, keep: 'start' | 'both'): string {
  if (text.length < 2000 && textWidth(text, style) <= width) return text;
  const characters = Array.from(text);
  const cut = (length: number) => {
    const tail = keep === 'both' ? Math.ceil(length * 0.6) : 0;
    const end = tail === 0 ? '' : characters.slice(-tail).join('');
    return `${characters
      .slice(0, length - tail)
      .join('')
      .trimEnd()}…${end}`;
  };
  let [fits, fails] = [0, Math.min(characters.length, 1000)];
  while (fails - fits > 1) {
    const middle = (fits + fails) >> 1;
    if (textWidth(cut(middle), style) <= width) fits = middle;
    else fails = middle;
  }
  return cut(fits);
}
