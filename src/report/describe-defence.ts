import { shortText } from './visible-text.js';

/** The settings of a defence, as `printDefence` gives them, in one line for people: `10 runs · 100 deflections, window 10 · db1, bayes, σ 0.04, legacy`. */
export function describeDefence(defence: Readonly<Record<string, unknown>>): string {
  const value = (name: string) => {
    const found = defence[name];
    return typeof found === 'string' || typeof found === 'number' ? shortText(String(found), 24) : undefined;
  };
  const parts: string[] = [];
  const runs = value('runs');
  if (runs !== undefined) parts.push(runs === '1' ? '1 run' : `${runs} runs`);
  if (value('deflection') === 'none') parts.push('no deflection');
  else if (value('deflections') !== undefined) {
    const window = value('window');
    const map = value('map');
    parts.push(
      [`${value('deflections')} deflections`, window && `window ${window}`, map && `map ${map}`]
        .filter(Boolean)
        .join(', '),
    );
  }
  if (value('shrink') === 'none') parts.push('no shrinkage');
  else if (value('wavelet') !== undefined) {
    const sigma = value('sigma') && `σ ${value('sigma')}`;
    const threshold = value('threshold');
    parts.push(
      [value('wavelet'), value('shrink'), threshold === 'soft' ? undefined : threshold, sigma, value('variant')]
        .filter(Boolean)
        .join(', '),
    );
  }
  const vote = value('vote');
  if (vote !== undefined) parts.push(`${vote} vote`);
  return parts.join(' · ');
}
