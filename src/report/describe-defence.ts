import { shortText } from './visible-text.js';

/** The paper's order goes without saying. */
const USUAL_ORDER = 'deflect,denoise';
/** Rivals may stand in an order at some length. */
const ORDER_LENGTH = 80;

/** The settings of a defence, as `printDefence` gives them, in one line for people: `10 runs · 100 deflections, window 10 · db1, bayes, σ 0.04, legacy`. */
export function describeDefence(defence: Readonly<Record<string, unknown>>): string {
  const value = (name: string) => {
    const found = defence[name];
    return typeof found === 'string' || typeof found === 'number' ? shortText(String(found), 24) : undefined;
  };
  const parts: string[] = [];
  const runs = value('runs');
  if (runs !== undefined) parts.push(runs === '1' ? '1 run' : `${runs} runs`);
  const order = Array.isArray(defence.order) ? defence.order.map(String) : USUAL_ORDER.split(',');
  if (order.join() !== USUAL_ORDER) parts.push(shortText(`order ${order.join()}`, ORDER_LENGTH));
  if (order.includes('deflect')) {
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
  }
  if (order.includes('denoise')) {
    if (value('shrink') === 'none') parts.push('no shrinkage');
    else if (value('wavelet') !== undefined) {
      const factor = value('strength') === '1' ? '' : value('strength') && ` × ${value('strength')}`;
      const sigma = value('sigma') && `σ ${value('sigma')}${factor ?? ''}`;
      const spin = value('spin') === '0' ? undefined : value('spin') && `spin ${value('spin')}`;
      const spare = value('spare') === '0' ? undefined : value('spare') && `map spares ${value('spare')}`;
      const threshold = value('threshold');
      parts.push(
        [
          ...[value('wavelet'), value('shrink'), threshold === 'soft' ? undefined : threshold, sigma],
          ...[spin, spare, value('variant')],
        ]
          .filter(Boolean)
          .join(', '),
      );
    }
  }
  const vote = value('vote');
  const trust = value('trust') === '0' ? undefined : value('trust') && `trust ${value('trust')}`;
  if (vote !== undefined) parts.push([`${vote} vote`, trust].filter(Boolean).join(', '));
  return parts.join(' · ');
}
