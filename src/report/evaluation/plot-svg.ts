/** Plots as SVG that stands in a page, drawn without a browser. */
import { parse, View } from 'vega';
import { compile } from 'vega-lite';
import type { Plot } from '../../evaluation/report-content.js';
import { escapeMarkup } from '../markup.js';

/** @returns an `svg` element that takes its text colour from the page and shrinks with it */
export async function plotSvg({ spec, description }: Plot): Promise<string> {
  const view = new View(parse(compile(spec).spec), { renderer: 'none' });
  try {
    const svg = await view.toSVG();
    const size = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg);
    return svg
      .replace(
        /^<svg [^>]*>/,
        `<svg class="plot" viewBox="0 0 ${size?.[1]} ${size?.[2]}" width="${size?.[1]}" role="img" aria-label="${escapeMarkup(description)}">`,
      )
      .replace(/(\d+\.\d{2})\d+/g, '$1');
  } finally {
    view.finalize();
  }
}
